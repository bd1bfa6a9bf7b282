"""The credentials that the emulator knows, and the keys that SigV4 derives of them (W4)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Credentials:
    """One key pair that a client may sign with (O6), `[[credentials]]` of a configuration.

    Args:
        access_key_id: the public part.
        secret_access_key: the secret part; never shown.
        session_token: the token of temporary credentials, which the request must carry; None for
            a long-term key.
        expires_at: when temporary credentials end, in seconds since the epoch; None for never.
        may_invoke: whether the IAM action `sagemaker:InvokeEndpointWithBidirectionalStream` is
            allowed.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    may_invoke: bool = True


# A key holds for one day, region and service; the bound is far above what a test run uses.
@lru_cache(maxsize=256)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Derive the key that signs requests and chunks of one day (W4, SigV4 step 3).

    Args:
        secret: the secret access key.
        date: the day, `YYYYMMDD`.
        region: such as `us-east-1`.
        service: `sagemaker`.

    Returns:
        32 bytes.
    """
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
