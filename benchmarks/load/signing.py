"""SigV4 for the lean client, with everything that repeats worked out once (W4).

Written for the benchmarks alone, so that a fault of the emulator's own signing shows.
"""

from __future__ import annotations

import hmac
import struct
import time
from hashlib import sha256
from zlib import crc32

from benchmarks.load.payloads import Payload

ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"
SERVICE = "sagemaker"
EVENTS = "STREAMING-AWS4-HMAC-SHA256-EVENTS"

_SIGNATURE_HEAD = bytes((16,)) + b":chunk-signature" + struct.pack(">BH", 6, 32)
_HEADERS_LENGTH = 1 + 5 + 1 + 8 + len(_SIGNATURE_HEAD) + 32


def signing_key(day: str) -> bytes:
    """The key of one day, `YYYYMMDD`."""
    key = b"AWS4" + SECRET_ACCESS_KEY.encode()
    for part in (day, REGION, SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign_request(path: str, authority: str) -> tuple[list[tuple[str, str]], str]:
    """Headers of a signed request, and its signature in hex.

    Args:
        path: `:path` of the request, without a query.
        authority: `:authority`.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    signed = {
        "content-type": "application/vnd.amazon.eventstream",
        "host": authority,
        "x-amz-content-sha256": EVENTS,
        "x-amz-date": stamp,
    }
    names = ";".join(signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    canonical = f"POST\n{path}\n\n{lines}\n{names}\n{EVENTS}"
    scope = f"{stamp[:8]}/{REGION}/{SERVICE}/aws4_request"
    digest = sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    signature = hmac.digest(signing_key(stamp[:8]), to_sign.encode(), "sha256").hex()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    sent = [(name, value) for name, value in signed.items() if name != "host"]
    return [*sent, ("authorization", authorization)], signature


class _Second:
    """What all the chunks of one second share."""

    def __init__(self, second: int) -> None:
        self.second = second
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        scope = f"{stamp[:8]}/{REGION}/{SERVICE}/aws4_request"
        date = bytes((5,)) + b":date" + struct.pack(">BQ", 8, second * 1000)
        self.before = f"AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{scope}\n".encode()
        self.after = b"\n" + sha256(date).hexdigest().encode() + b"\n"
        self.headers = date + _SIGNATURE_HEAD
        self.key = signing_key(stamp[:8])


class ChunkSigner:
    """Signs the chunks of one stream, each after the one before.

    Args:
        seed: the request's signature in hex.
    """

    _now = _Second(0)

    def __init__(self, seed: str) -> None:
        self._prior = seed.encode()

    def sign(self, payload: Payload) -> bytes:
        """The signed message that carries a payload's event."""
        second = int(time.time())
        now = ChunkSigner._now
        if now.second != second:
            ChunkSigner._now = now = _Second(second)
        to_sign = now.before + self._prior + now.after + payload.digest
        signature = hmac.digest(now.key, to_sign, "sha256")
        self._prior = signature.hex().encode()
        event = payload.event
        lengths = struct.pack(">II", 16 + _HEADERS_LENGTH + len(event), _HEADERS_LENGTH)
        head = b"".join((lengths, crc32(lengths).to_bytes(4), now.headers, signature))
        return b"".join((head, event, crc32(event, crc32(head)).to_bytes(4)))
