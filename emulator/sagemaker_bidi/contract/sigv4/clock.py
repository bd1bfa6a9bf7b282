"""When something was signed: how SigV4 writes it, and how far from now it may be (W4, O6)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from sagemaker_bidi.contract.sigv4.authorization import SignatureError

_AMZ_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_AMZ_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_FIRST_SECOND = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST_SECOND = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


# Chunks come many to a second, and each is signed with its second in this form.
@lru_cache(maxsize=64)
def amz_date(seconds: int) -> str:
    """Write a moment as SigV4 does, `YYYYMMDDTHHMMSSZ`.

    Args:
        seconds: since the epoch; outside the years 1 to 9999 the number itself is written.
    """
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        return f"{seconds} s since the epoch"
    return datetime.fromtimestamp(seconds, UTC).strftime(_AMZ_DATE_FORMAT)


def parse_amz_date(date: str | None) -> float:
    """Read the x-amz-date header (W4).

    Args:
        date: `YYYYMMDDTHHMMSSZ`; None when the request has none.

    Returns:
        Seconds since the epoch.

    Raises:
        SignatureError: IncompleteSignatureException.
    """
    if date is None:
        raise SignatureError(
            "IncompleteSignatureException",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
            "the request has no x-amz-date header, which is the one that is understood here",
        )
    try:
        if not _AMZ_DATE.fullmatch(date):
            raise ValueError
        moment = datetime.strptime(date, _AMZ_DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise SignatureError(
            "IncompleteSignatureException",
            "Date must be in ISO-8601 'basic format'. "
            f"Got '{date[:40]}'. See http://en.wikipedia.org/wiki/ISO_8601",
            "x-amz-date has the form YYYYMMDDTHHMMSSZ",
        ) from None
    return moment.timestamp()


def check_clock(signed_at: float, now: float, max_skew: float) -> None:
    """Check that something was signed within `max_skew` seconds of now (O6).

    Args:
        signed_at: seconds since the epoch.
        now: seconds since the epoch.
        max_skew: in seconds.

    Raises:
        SignatureError: signed too early or too late.
    """
    if abs(signed_at - now) <= max_skew:
        return
    signed, current = amz_date(int(signed_at)), amz_date(int(now))
    allowed = f"{max_skew / 60:g} min."
    if signed_at < now:
        limit = amz_date(int(now - max_skew))
        message = f"Signature expired: {signed} is now earlier than {limit} ({current} - {allowed})"
    else:
        limit = amz_date(int(now + max_skew))
        message = (
            f"Signature not yet current: {signed} is still later than {limit} "
            f"({current} + {allowed})"
        )
    raise SignatureError(
        "InvalidSignatureException",
        message,
        f"signed {signed_at - now:+.0f} s from now, {max_skew:g} s either way are allowed",
    )
