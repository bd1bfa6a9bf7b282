"""Lean sessions with the emulator: signed events on streams of HTTP/2 (W1, W3, W4)."""

from __future__ import annotations

from benchmarks.load.http2 import Http2Connection
from benchmarks.load.payloads import Payload
from benchmarks.load.session import Base
from benchmarks.load.signing import ChunkSigner, sign_request

PRELUDE, CRC = 12, 4


class SignedSession(Base):
    """One invocation, as the AWS SDK makes it, at a fraction of its cost.

    Args:
        connection: its HTTP/2 connection, shared with other sessions.
        authority: `:authority`.
        endpoint: the endpoint's name.
    """

    def __init__(self, connection: Http2Connection, authority: str, endpoint: str) -> None:
        super().__init__()
        path = f"/endpoints/{endpoint}/invocations-bidirectional-stream"
        signed, signature = sign_request(path, authority)
        self._signer = ChunkSigner(signature)
        self._prepared = b""
        self._parts: list[bytes] = []
        self._held = 0
        self._wanted = 0
        self._stream = connection.open(
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":path", path),
                (":authority", authority),
                *signed,
            ],
            self,
        )

    def prepare(self, payload: Payload) -> None:
        """See `Session.prepare`."""
        self._prepared = self._signer.sign(payload)

    def send(self) -> None:
        """See `Session.send`."""
        self._stream.send(self._prepared)

    def responded(self, headers: dict[str, str]) -> None:
        """The response's headers came."""
        if headers.get(":status") == "200":
            self.opened.set_result(None)
        else:
            self.lost(f"the invocation was refused: {headers}")

    def data_received(self, data: bytes, at: float) -> None:
        """Take the whole messages of the event stream."""
        if self._parts:
            # A message in many DATA frames is joined once, not with each of them.
            self._parts.append(data)
            self._held += len(data)
            if self._held < self._wanted:
                return
            data = b"".join(self._parts)
            self._parts.clear()
        position, end = 0, len(data)
        while end - position >= PRELUDE:
            total = int.from_bytes(data[position : position + 4])
            if end - position < total:
                break
            headers = PRELUDE + int.from_bytes(data[position + 4 : position + 8])
            if b"exception" in data[position : position + headers]:
                self.lost(f"the stream failed: {data[position : position + total]!r}")
            else:
                self.taken(data[position + headers : position + total - CRC], at)
            position += total
        if position < end:
            rest = data[position:] if position else data
            self._parts.append(rest)
            self._held = len(rest)
            self._wanted = int.from_bytes(rest[:4]) if len(rest) >= 4 else PRELUDE
