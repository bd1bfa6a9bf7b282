"""A client that keeps to no rule, and notes how its connection ended."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit

from h2.errors import ErrorCodes

from benchmarks.load.http2 import END_HEADERS, HEADERS, SETTINGS, frame, literal_block
from benchmarks.load.routes import ENDPOINT
from benchmarks.load.signing import sign_request

SECONDS = 3.0
FRAMES = 100_000
BATCH = 256
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Over(Exception):
    """The connection has ended, or the attack's time has."""


class Attacker:
    """One connection: `async with Attacker(url) as attacker`.

    Args:
        url: of the emulator.
        opening: what is sent at once.
        reads: whether what comes back is read.
    """

    def __init__(
        self, url: str, opening: bytes = PREFACE + frame(SETTINGS, 0, 0), *, reads: bool = True
    ) -> None:
        self.url = url
        self.frames = 0
        self.ended = ""
        self.answered = asyncio.Event()
        self._opening = opening
        self._reads = reads
        self._next = 1
        self._until = time.monotonic() + SECONDS

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        parts = urlsplit(self.url)
        self.authority = parts.netloc
        self._reader, self._writer = await asyncio.open_connection(
            parts.hostname, parts.port, ssl=context
        )
        self._writer.write(self._opening)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        # What the server says at the end may still be on its way.
        await asyncio.wait({self._reading}, timeout=5.0 if self._reads else 0.1)
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.transport.abort()

    async def send(self, data: bytes, frames: int = 1) -> None:
        """Send these bytes.

        Raises:
            Over: nobody takes them any more.
        """
        if self.ended or time.monotonic() > self._until:
            raise Over
        self.frames += frames
        self._writer.write(data)
        try:
            async with asyncio.timeout(max(0.0, self._until - time.monotonic())):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise Over from error

    async def flood(self, make: Callable[[int], bytes], frames: int = FRAMES) -> None:
        """Send what `make` gives for 0, 1, 2 and so on, as fast as it is taken."""
        for first in range(0, frames, BATCH):
            await self.send(b"".join(map(make, range(first, first + BATCH))), BATCH)
            await asyncio.sleep(0)

    def stream(self) -> int:
        """The number of a stream that was not used yet."""
        number, self._next = self._next, self._next + 2
        return number

    def request(self, *, signed: bool = True, path: str | None = None) -> bytes:
        """HEADERS of a request on a new stream, which stays open."""
        path = path or f"/endpoints/{ENDPOINT}/invocations-bidirectional-stream"
        fields = sign_request(path, self.authority)[0] if signed else []
        block = literal_block(
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":path", path),
                (":authority", self.authority),
                *fields,
            ]
        )
        return frame(HEADERS, END_HEADERS, self.stream(), block)

    async def session(self) -> int:
        """Open a session as an honest client does; gives its stream."""
        number = self._next
        await self.send(self.request())
        await asyncio.wait_for(self.answered.wait(), 5.0)
        return number

    async def stay(self) -> None:
        """Keep quiet until the time is over, or the connection is."""
        await asyncio.wait({self._reading}, timeout=max(0.0, self._until - time.monotonic()))

    async def _read(self) -> None:
        if not self._reads:
            await asyncio.Event().wait()
        data = b""
        with contextlib.suppress(OSError):
            while more := await self._reader.read(65_536):
                data += more
                while len(data) >= 9 and len(data) >= (end := 9 + int.from_bytes(data[:3])):
                    self._receive(data[3], data[9:end])
                    data = data[end:]
        self.ended = self.ended or "closed"

    def _receive(self, kind: int, body: bytes) -> None:
        if kind == HEADERS:
            self.answered.set()
        if kind == 7:
            self.ended = f"GOAWAY {ErrorCodes(int.from_bytes(body[4:8])).name}"
