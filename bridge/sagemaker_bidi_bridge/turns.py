"""One connection's turn in the event loop: what has been read is parsed a slice at a time.

A read of 256 KiB holds some 40,000 of the smallest frames. Parsed in one go they take the loop for
a second, and each becomes a message that waits in memory: one client would stop every session, and
the health page with them.
"""

import asyncio
from collections.abc import Callable

# At most some 340 frames of a client's, which are masked, and 1,000 of vLLM's.
SLICE_BYTES = 2_048


class Backlog:
    """What a connection has read and not yet parsed; while there is any, nothing more is read.

    Args:
        transport: the connection's.
        parse: takes a slice; tells whether it held the end of a frame, which ends the turn: a part
            of a large message costs next to nothing.
        may_go_on: whether what was parsed before has been taken.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        parse: Callable[[bytes], bool],
        may_go_on: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._parse = parse
        self._may_go_on = may_go_on
        self._bytes = bytearray()
        self._at = 0
        self._next: asyncio.Handle | None = None
        self._parsing = False

    def add(self, data: bytes) -> None:
        """Take what was read, and parse what this turn allows."""
        self._bytes += data
        if self._next is None:
            self.go_on()

    def go_on(self) -> None:
        """Parse until a frame has ended; the next turn is for later, where all has been taken."""
        if self._parsing:
            return
        self._stop()
        busy, self._parsing = False, True
        try:
            while self._left() and not busy and self._may_go_on():
                busy = self._parse(self._take(SLICE_BYTES))
        finally:
            self._parsing = False
        self._settle()

    def finish(self) -> None:
        """Parse all that is left, in one turn: the connection is over."""
        self._stop()
        if left := self._left():
            self._parse(self._take(left))

    def _settle(self) -> None:
        free = self._may_go_on()
        if self._left() and free:
            self._next = asyncio.get_running_loop().call_soon(self.go_on)
        if self._transport.is_closing():
            return
        if self._left() or not free:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _left(self) -> int:
        return len(self._bytes) - self._at

    def _take(self, size: int) -> bytes:
        part = bytes(self._bytes[self._at : self._at + size])
        self._at += len(part)
        if not self._left():
            self._bytes.clear()
            self._at = 0
        return part

    def _stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
