"""A container's log, line by line as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from sagemaker_bidi.shown import plain

TAIL_LINES = 20
LONGEST_LINE = 64 * 1024


class ContainerLog:
    """Passes lines on with the endpoint's name before each, and keeps the last of them.

    What would command a terminal is escaped, and colours are dropped.

    Args:
        endpoint: whose container it is.
        on_line: takes `ENDPOINT | LINE`.
    """

    def __init__(self, endpoint: str, on_line: Callable[[str], None]) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._endpoint = endpoint
        self._on_line = on_line

    async def attend(self, process: asyncio.subprocess.Process) -> int:
        """Pass on what a process prints, to its end; gives its exit code."""
        assert process.stdout is not None
        assert process.stderr is not None
        await asyncio.gather(self.pass_on(process.stdout), self.pass_on(process.stderr))
        return await process.wait()

    async def pass_on(self, stream: asyncio.StreamReader) -> None:
        """Read a stream to its end; a line that is too long comes in pieces."""
        while True:
            try:
                line = await stream.readuntil()
            except asyncio.IncompleteReadError as error:
                line = error.partial
            except asyncio.LimitOverrunError as error:
                line = await stream.read(min(error.consumed, LONGEST_LINE))
            if not line:
                return
            # A bar of progress writes over itself: its last state is what a terminal would show.
            text = plain(line.decode(errors="replace").rstrip("\r\n").rpartition("\r")[2])
            self.tail.append(text)
            self._on_line(f"{self._endpoint} | {text}")
