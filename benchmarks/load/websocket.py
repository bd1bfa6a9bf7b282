"""WebSocket sessions: over TCP or TLS (RFC 6455), and over a stream of HTTP/2 (RFC 8441)."""

from __future__ import annotations

import asyncio
import ssl
from time import perf_counter
from typing import cast

from benchmarks.load.http2 import ENABLE_CONNECT_PROTOCOL, Http2Connection
from benchmarks.load.payloads import Payload
from benchmarks.load.session import Base, SessionLost

PATH = "/invocations-bidirectional-stream"
CLOSE, PING = 8, 9


class _Frames(Base):
    """Takes the frames of a server, which are not masked."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""
        self._prepared = b""

    def prepare(self, payload: Payload) -> None:
        """See `Session.prepare`."""
        self._prepared = payload.frame

    def frames(self, data: bytes, at: float) -> None:
        """Take the whole frames at the front of what has come."""
        if self._rest:
            data = self._rest + data
        position, end = 0, len(data)
        while end - position >= 2:
            length, body = data[position + 1] & 0x7F, position + 2
            if length == 126:
                length, body = int.from_bytes(data[position + 2 : position + 4]), position + 4
            elif length == 127:
                length, body = int.from_bytes(data[position + 2 : position + 10]), position + 10
            if end < body + length:
                break
            opcode = data[position] & 0x0F
            if opcode < CLOSE:
                self.taken(data[body : body + length], at)
            elif opcode == CLOSE:
                self.lost(f"the server closed the WebSocket: {data[body : body + length]!r}")
            position = body + length
        self._rest = data[position:]


class TcpWebSocket(_Frames, asyncio.Protocol):
    """A WebSocket on a connection of its own."""

    def __init__(self, authority: str) -> None:
        super().__init__()
        self._authority = authority
        self._upgraded = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: {self._authority}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take the response, then frames."""
        at = perf_counter()
        if not self._upgraded:
            head, found, data = (self._rest + data).partition(b"\r\n\r\n")
            self._rest = b"" if found else head
            if not found:
                return
            if b" 101 " not in head.partition(b"\r\n")[0] + b" ":
                self.lost(f"the upgrade was refused: {head[:80]!r}")
                return
            self._upgraded = True
            self.opened.set_result(None)
        self.frames(data, at)

    def connection_lost(self, exc: Exception | None) -> None:
        """The session is over."""
        self.lost(f"the connection was lost: {exc or 'closed by the server'}")

    def send(self) -> None:
        """See `Session.send`."""
        self._transport.write(self._prepared)


class Http2WebSocket(_Frames):
    """A WebSocket in a stream of HTTP/2, by extended CONNECT (RFC 8441)."""

    def __init__(self, connection: Http2Connection, authority: str) -> None:
        super().__init__()
        if not connection.settings.get(ENABLE_CONNECT_PROTOCOL):
            raise SessionLost("the server does not offer extended CONNECT (RFC 8441 section 3)")
        self._stream = connection.open(
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":path", PATH),
                (":authority", authority),
                ("sec-websocket-version", "13"),
            ],
            self,
        )

    def responded(self, headers: dict[str, str]) -> None:
        """The response's headers came."""
        if headers.get(":status") == "200":
            self.opened.set_result(None)
        else:
            self.lost(f"extended CONNECT was refused: {headers}")

    def data_received(self, data: bytes, at: float) -> None:
        """Take frames."""
        self.frames(data, at)

    def send(self) -> None:
        """See `Session.send`."""
        self._stream.send(self._prepared)


async def open_websocket(
    host: str, port: int, context: ssl.SSLContext | None, name: str | None
) -> TcpWebSocket:
    """Open one WebSocket.

    Args:
        context: TLS, or None for plain TCP.
        name: the host name for SNI.
    """
    _, session = await asyncio.get_running_loop().create_connection(
        lambda: TcpWebSocket(f"{host}:{port}"),
        host,
        port,
        ssl=context,
        server_hostname=name if context else None,
    )
    await session.opened
    return session
