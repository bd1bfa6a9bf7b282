"""The reading half of a connection: bytes as they come, as slowly as a client may send them."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from sagemaker_bidi.clock import Clock, first_of
from sagemaker_bidi.transport.http2.protection import Flood

READ_SIZE = 256 * 1024
QUICKACK = getattr(socket, "TCP_QUICKACK", None)


class Incoming:
    """Reads what the client sends.

    Args:
        reader: the connection after its TLS handshake.
        sock: its socket.
        clock: measures the client, so it is never scaled.
        headers_seconds: time for a header block that is owed.
        silent_bytes: what is read and kept at most in silence; the rest waits in the sockets.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        sock: socket.socket,
        clock: Clock,
        headers_seconds: float,
        silent_bytes: int,
    ) -> None:
        self._reader = reader
        self._socket = sock
        self._clock = clock
        self._headers_seconds = headers_seconds
        self._silent_bytes = silent_bytes
        self._owed: int | None = None
        self._due = 0.0
        self._audible = asyncio.Event()
        self._audible.set()

    async def read(self, owed: int | None) -> bytes:
        """The next bytes, all that came in silence before them included; none at the end.

        Args:
            owed: the header block that the client has yet to end; None where there is none, and
                only then may it take its time.

        Raises:
            Flood: it took too long over that header block.
            OSError: the connection was lost.
        """
        if owed is None:
            data = await self._reader.read(READ_SIZE)
        else:
            data = await self._read_headers(owed)
        self._owed = owed
        if not self._audible.is_set():
            data = await self._after_silence(data)
        if data:
            self._acknowledge_at_once()
        return data

    def go_silent(self, silent: bool) -> None:
        """Keep what comes from now on, or give it out."""
        if silent:
            self._audible.clear()
        else:
            self._audible.set()

    async def _read_headers(self, owed: int) -> bytes:
        if owed != self._owed:
            self._due = self._clock.now() + self._headers_seconds
        try:
            async with self._clock.within(self._due - self._clock.now()):
                return await self._reader.read(READ_SIZE)
        except TimeoutError:
            raise Flood(
                f"no complete request within {self._headers_seconds:g} s (http2.headers_seconds)"
            ) from None

    async def _after_silence(self, data: bytes) -> bytes:
        """What was read, with what came in silence; nothing where the connection ended in it."""
        held, room = [data], self._silent_bytes
        while data and not self._audible.is_set():
            if room <= 0:
                # No client that keeps to its windows has that much to send.
                await self._audible.wait()
                break
            more = await first_of(self._reader.read(READ_SIZE), self._audible.wait())
            if isinstance(more, bytes):
                held.append(data := more)
                room -= len(data)
        return b"".join(held) if data else b""

    def _acknowledge_at_once(self) -> None:
        # awscrt leaves Nagle's algorithm on: a delayed ACK of ours holds its next part for 40 ms.
        # Linux forgets the option after use, so it is set again for each read.
        if QUICKACK is not None:
            # uvloop has ValueError for a socket that is closed already.
            with contextlib.suppress(OSError, ValueError):
                self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
