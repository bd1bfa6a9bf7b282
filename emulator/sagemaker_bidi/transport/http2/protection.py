"""How much of what costs a server more than its client is taken from a connection.

Each limit is a bucket that refills with time: a burst is fine, a flood is not. Driven by `now`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sagemaker_bidi.contract.rate import Bucket
from sagemaker_bidi.transport.http2.settings import Http2Settings


class Flood(Exception):
    """A client went over a limit; says which, and its setting."""


@dataclass(frozen=True, slots=True)
class _Limit:
    what: str
    setting: str
    bucket: Bucket

    def take(self, now: float) -> None:
        if not self.bucket.take(now):
            raise Flood(
                f"more than {self.bucket.rate:g} {self.what} a second over a burst of "
                f"{self.bucket.burst:g} (http2.{self.setting})"
            )


class Protection:
    """The limits of one connection.

    Args:
        settings: rates and bursts.
        now: when the connection began, in seconds.
    """

    def __init__(self, settings: Http2Settings, now: float) -> None:
        def limit(what: str, setting: str, rate: float) -> _Limit:
            return _Limit(what, setting, Bucket(rate, rate * settings.burst_seconds, now))

        self._unread = settings.unread_answers
        self._resets = limit(
            "streams reset young or refused", "resets_per_second", settings.resets_per_second
        )
        self._control = limit(
            "control frames", "control_frames_per_second", settings.control_frames_per_second
        )
        self._empty = limit(
            "empty DATA frames", "empty_frames_per_second", settings.empty_frames_per_second
        )

    def receive_reset(self, now: float) -> None:
        """A stream was reset before its response ended, or was one too many.

        By the client (rapid reset, CVE-2023-44487), or by us for what it sent (CVE-2025-8671).

        Raises:
            Flood: too many.
        """
        self._resets.take(now)

    def receive_control(self, now: float) -> None:
        """A SETTINGS, PING, PRIORITY or unknown frame arrived; each may cost an answer.

        Raises:
            Flood: too many.
        """
        self._control.take(now)

    def receive_empty_data(self, now: float) -> None:
        """A DATA frame arrived that carries nothing and ends nothing.

        Raises:
            Flood: too many.
        """
        self._empty.take(now)

    def unread(self, size: int) -> None:
        """So many bytes of answers wait for a client that does not read them (CVE-2019-9512).

        Raises:
            Flood: too many.
        """
        if size > self._unread:
            raise Flood(
                f"more than {self._unread} bytes of answers that the client does not read "
                "(http2.unread_answers)"
            )
