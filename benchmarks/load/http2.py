"""An HTTP/2 client connection that does the least that RFC 9113 asks of it.

No state machine: the servers measured here are trusted to keep to the protocol, and what this
client does not expect of them is an error. Its cost is a few microseconds a frame, so that it is
the server that gets saturated.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections import deque
from time import perf_counter
from typing import Protocol, cast

import hpack

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK, PADDED = 0x1, 0x4, 0x1, 0x8
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, ENABLE_CONNECT_PROTOCOL = 4, 5, 8
LARGEST_WINDOW = 2**31 - 1
CREDIT = 16 * 1024 * 1024

_HEAD = struct.Struct(">IBI")
_SETTING = struct.Struct(">HI")


def frame(kind: int, flags: int, stream_id: int, body: bytes = b"") -> bytes:
    """One HTTP/2 frame (RFC 9113 4.1)."""
    return _HEAD.pack(len(body) << 8 | kind, flags, stream_id) + body


class Receiver(Protocol):
    """Whoever owns a stream."""

    def responded(self, headers: dict[str, str]) -> None: ...
    def data_received(self, data: bytes, at: float) -> None: ...
    def lost(self, why: str) -> None: ...


class Http2Stream:
    """One stream; `send` queues what the windows do not allow yet."""

    def __init__(self, connection: Http2Connection, stream_id: int, receiver: Receiver) -> None:
        self.id = stream_id
        self.receiver = receiver
        self.window = connection.initial_window
        self.uncredited = 0
        self.waiting: deque[bytes] = deque()
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Send DATA, now or when there is room."""
        self.waiting.append(data)
        self._connection.pump(self)


class Http2Connection(asyncio.Protocol):
    """The client's side of one connection; `connect` makes it."""

    def __init__(self) -> None:
        self.streams: dict[int, Http2Stream] = {}
        self.settings: dict[int, int] = {}
        self.initial_window = 65_535
        self.max_frame = 16_384
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._window = 65_535
        self._blocked: dict[int, Http2Stream] = {}
        self._uncredited = 0
        self._next_id = 1
        self._rest = b""
        self._decoder = hpack.Decoder()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface (RFC 9113 3.4)."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=64 * 1024 * 1024)
        settings = _SETTING.pack(INITIAL_WINDOW_SIZE, LARGEST_WINDOW) + _SETTING.pack(2, 0)
        self._transport.write(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(SETTINGS, 0, 0, settings)
            + frame(WINDOW_UPDATE, 0, 0, (LARGEST_WINDOW - 65_535).to_bytes(4))
        )

    def open(self, headers: list[tuple[str, str]], receiver: Receiver) -> Http2Stream:
        """Send a request whose body follows."""
        stream = Http2Stream(self, self._next_id, receiver)
        self._next_id += 2
        self.streams[stream.id] = stream
        self._transport.write(frame(HEADERS, END_HEADERS, stream.id, literal_block(headers)))
        return stream

    def close(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    # Sending.

    def pump(self, stream: Http2Stream) -> None:
        """Send what the windows allow."""
        out: list[bytes] = []
        while stream.waiting:
            data = stream.waiting[0]
            size = min(len(data), self.max_frame, stream.window, self._window)
            if size <= 0:
                self._blocked[stream.id] = stream
                break
            if size == len(data):
                stream.waiting.popleft()
            else:
                stream.waiting[0] = data[size:]
                data = data[:size]
            stream.window -= size
            self._window -= size
            out += (_HEAD.pack(size << 8, 0, stream.id), data)
        if out:
            self._transport.write(b"".join(out))

    def _unblock(self) -> None:
        blocked, self._blocked = self._blocked, {}
        for stream in blocked.values():
            self.pump(stream)

    # Receiving.

    def data_received(self, data: bytes) -> None:
        """Take the whole frames."""
        at = perf_counter()
        if self._rest:
            data = self._rest + data
        position, end = 0, len(data)
        while end - position >= 9:
            head, flags, stream_id = _HEAD.unpack_from(data, position)
            length, kind = head >> 8, head & 0xFF
            after = position + 9 + length
            if after > end:
                break
            body = data[position + 9 : after]
            position = after
            if kind == DATA:
                self._data(stream_id, flags, body, at)
            else:
                self._other(kind, flags, stream_id, body)
        self._rest = data[position:]
        if self._uncredited > CREDIT:
            self._transport.write(frame(WINDOW_UPDATE, 0, 0, self._uncredited.to_bytes(4)))
            self._uncredited = 0

    def _data(self, stream_id: int, flags: int, body: bytes, at: float) -> None:
        self._uncredited += len(body)
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        stream.uncredited += len(body)
        if stream.uncredited > CREDIT:
            self._transport.write(frame(WINDOW_UPDATE, 0, stream_id, stream.uncredited.to_bytes(4)))
            stream.uncredited = 0
        if flags & PADDED:
            body = body[1 : len(body) - body[0]]
        if body:
            stream.receiver.data_received(body, at)
        if flags & END_STREAM:
            self._end(stream_id, "the server ended the stream")

    def _other(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        if kind == WINDOW_UPDATE:
            amount = int.from_bytes(body)
            if stream_id == 0:
                self._window += amount
                self._unblock()
            elif (stream := self.streams.get(stream_id)) is not None:
                stream.window += amount
                if stream.waiting:
                    self.pump(stream)
        elif kind == HEADERS:
            self._headers(stream_id, flags, body)
        elif kind == SETTINGS:
            if not flags & ACK:
                self._settings(body)
        elif kind == PING:
            if not flags & ACK:
                self._transport.write(frame(PING, ACK, 0, body))
        elif kind == RST_STREAM:
            self._end(stream_id, f"the server sent RST_STREAM {int.from_bytes(body)}")
        elif kind == GOAWAY:
            code = int.from_bytes(body[4:8])
            self._lose(f"the server sent GOAWAY {code} {body[8:]!r}")

    def _headers(self, stream_id: int, flags: int, body: bytes) -> None:
        if flags & (PADDED | 0x20) or not flags & END_HEADERS:
            raise ValueError(f"response headers in a form not handled here (flags 0x{flags:x})")
        headers = {str(name): str(value) for name, value in self._decoder.decode(body)}
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.receiver.responded(headers)
            if flags & END_STREAM:
                self._end(stream_id, f"the server answered {headers.get(':status')}")

    def _settings(self, body: bytes) -> None:
        for code, value in _SETTING.iter_unpack(body):
            self.settings[code] = value
        grown = self.settings.get(INITIAL_WINDOW_SIZE, self.initial_window) - self.initial_window
        self.initial_window += grown
        for stream in self.streams.values():
            stream.window += grown
        self.max_frame = self.settings.get(MAX_FRAME_SIZE, self.max_frame)
        self._transport.write(frame(SETTINGS, ACK, 0))
        self._unblock()
        if not self.ready.done():
            self.ready.set_result(None)

    def _end(self, stream_id: int, why: str) -> None:
        if (stream := self.streams.pop(stream_id, None)) is not None:
            self._blocked.pop(stream_id, None)
            stream.receiver.lost(why)

    def _lose(self, why: str) -> None:
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.receiver.lost(why)
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(why))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every stream."""
        self._lose(f"the connection was lost: {exc or 'closed by the server'}")


async def connect(host: str, port: int, context: ssl.SSLContext, name: str) -> Http2Connection:
    """Connect and wait for the server's SETTINGS.

    Args:
        context: TLS; ALPN `h2` is set on it here.
        name: the host name for SNI and the certificate.
    """
    context.set_alpn_protocols(["h2"])
    _, connection = await asyncio.get_running_loop().create_connection(
        Http2Connection, host, port, ssl=context, server_hostname=name
    )
    await connection.ready
    return connection


def literal_block(headers: list[tuple[str, str]]) -> bytes:
    """A header block (RFC 7541 6.2.3) with nothing indexed."""
    # No Huffman either: the request's headers cost the server the same on every stream.
    block = b""
    for name, value in headers:
        block += b"\x10" + _length(len(name)) + name.encode()
        block += _length(len(value)) + value.encode()
    return block


def _length(value: int) -> bytes:
    # RFC 7541 5.1 with a prefix of 7 bits.
    if value < 127:
        return bytes((value,))
    out = bytearray((127,))
    value -= 127
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    out.append(value)
    return bytes(out)
