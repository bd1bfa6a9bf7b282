"""A client that sends whatever bytes a test has, and shows each frame that comes back.

It keeps no state of HTTP/2 that could stop it from breaking the rules: `hyperframe` and `hpack`
make and read its frames, and nothing judges them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Self

import hpack
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.transport.lean_client import LIMIT_SECONDS, Lost

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

type Fields = Iterable[tuple[str, str]]


def frame(type_: int, flags: int, stream_id: int, body: bytes = b"") -> bytes:
    """A frame as RFC 9113 4.1 lays it out, whatever it holds."""
    return len(body).to_bytes(3) + bytes([type_, flags]) + stream_id.to_bytes(4) + body


def request(path: str = "/echo", method: str = "POST") -> list[tuple[str, str]]:
    """The header fields of a request that nothing is wrong with."""
    return [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)]


class RawClient:
    """One connection: `async with RawClient(port) as client`.

    Args:
        port: of a server on this machine that takes HTTP/2 with no TLS (RFC 9113 3.3).
        opening: what is sent at once.
        reads: whether what the server sends is read.
    """

    def __init__(
        self,
        port: int,
        opening: bytes = PREFACE + SettingsFrame(0).serialize(),
        *,
        reads: bool = True,
    ) -> None:
        self.frames: list[Frame] = []
        self.headers: dict[int, dict[str, str]] = {}
        self.body: Counter[int] = Counter()
        self.ended: set[int] = set()
        self.resets: list[tuple[int, int]] = []
        self.credits: Counter[int] = Counter()
        self.pings: list[bytes] = []
        self.settings: dict[int, int] = {}
        self.acknowledged = 0
        self.goaway: GoAwayFrame | None = None
        self.lost = False
        self.aborted = False
        self._port = port
        self._opening = opening
        self._reads = reads
        self._changed = asyncio.Event()
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._numbers = iter(range(1_000_000))

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(self._opening)
        if not self._reads:
            self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def send(self, *parts: Frame | bytes) -> None:
        """Send frames or bytes as they are, in one piece."""
        self._writer.write(
            b"".join(p if isinstance(p, bytes) else p.serialize() for p in parts),
        )

    async def drained(self) -> None:
        """Wait until the system has taken what was sent; the server may be gone by then."""
        with contextlib.suppress(OSError):
            await self._writer.drain()

    def block(self, fields: Fields) -> bytes:
        """A header block with these fields, right or wrong (RFC 7541)."""
        return self._encoder.encode(list(fields))

    def open(self, stream_id: int, path: str = "/echo", *, end: bool = False) -> None:
        """Send a request that nothing is wrong with."""
        self.send(self.headers_frame(stream_id, request(path), end=end))

    def headers_frame(self, stream_id: int, fields: Fields, *, end: bool = False) -> HeadersFrame:
        """HEADERS with a whole block."""
        flags = ["END_HEADERS", *(["END_STREAM"] if end else [])]
        return HeadersFrame(stream_id, self.block(fields), flags=flags)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until what has come makes `condition` true."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def round_trip(self, times: int = 1) -> None:
        """Have the server answer PINGs: it has seen all that was sent before."""
        for _ in range(times):
            data = next(self._numbers).to_bytes(8)
            self.send(PingFrame(0, data))
            await self.until(lambda: data in self.pings or self.lost)  # noqa: B023
            if data not in self.pings:
                raise Lost(f"the connection ended: {self.goaway}")

    async def answered(self, stream_id: int) -> dict[str, str]:
        """Wait for a response's headers."""
        await self.until(lambda: stream_id in self.headers or self.over(stream_id))
        if stream_id not in self.headers:
            raise Lost(f"no response on stream {stream_id}; resets: {self.resets}; {self.goaway}")
        return self.headers[stream_id]

    async def exchange(self, stream_id: int, data: bytes = b"still here") -> None:
        """Have the server send something back on a stream that echoes."""
        expected = self.body[stream_id] + len(data)
        self.send(DataFrame(stream_id, data))
        await self.until(lambda: self.body[stream_id] >= expected or self.over(stream_id))
        if self.body[stream_id] != expected:
            raise Lost(f"stream {stream_id}: resets: {self.resets}; {self.goaway}")

    def reset(self, stream_id: int) -> int | None:
        """The code of a stream's first RST_STREAM."""
        return next((code for number, code in self.resets if number == stream_id), None)

    def over(self, stream_id: int) -> bool:
        """Whether nothing more can come on a stream."""
        return stream_id in self.ended or self.reset(stream_id) is not None or self.lost

    @property
    def kinds(self) -> Sequence[str]:
        """What has come, for messages."""
        return [type(received).__name__ for received in self.frames]

    async def _read(self) -> None:
        data = b""
        try:
            while more := await self._reader.read(256 * 1024):
                data += more
                while len(data) >= 9 and len(data) >= (end := 9 + int.from_bytes(data[:3])):
                    received, _ = Frame.parse_frame_header(memoryview(data[:9]))
                    received.parse_body(memoryview(data[9:end]))
                    data = data[end:]
                    self._receive(received)
                self._changed.set()
        except ConnectionResetError:
            self.aborted = True
        except OSError:
            pass
        self.lost = True
        self._changed.set()

    def _receive(self, received: Frame) -> None:
        self.frames.append(received)
        stream_id = received.stream_id
        match received:
            case HeadersFrame():
                fields = self._decoder.decode(received.data)
                self.headers[stream_id] = {str(name): str(value) for name, value in fields}
            case DataFrame():
                self.body[stream_id] += len(received.data)
            case RstStreamFrame():
                self.resets.append((stream_id, received.error_code))
            case WindowUpdateFrame():
                self.credits[stream_id] += received.window_increment
            case SettingsFrame() if "ACK" in received.flags:
                self.acknowledged += 1
            case SettingsFrame():
                self.settings |= received.settings
                self.send(SettingsFrame(0, flags=["ACK"]))
            case PingFrame() if "ACK" in received.flags:
                self.pings.append(received.opaque_data)
            case GoAwayFrame():
                self.goaway = received
            case _:
                pass
        if "END_STREAM" in received.flags:
            self.ended.add(stream_id)
