"""`bidi serve`, with a note of the longest that its event loop was kept: CPU time of one round.

Unlike a latency, CPU time tells nothing of what else the machine is busy with.
"""

from __future__ import annotations

import asyncio.base_events
import mmap
import struct
import sys
import time
from pathlib import Path
from typing import Any

from sagemaker_bidi.commands.bidi import main
from sagemaker_bidi.serving import serve

NOTE = struct.Struct("d")


class LongestRound:
    """A file that two processes share: the longest round so far, in seconds."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(NOTE.pack(0.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), NOTE.size)

    def note(self, seconds: float) -> None:
        """Keep it if it is the longest."""
        if seconds > NOTE.unpack_from(self._shared)[0]:
            NOTE.pack_into(self._shared, 0, seconds)

    def take(self) -> float:
        """The longest since it was last asked."""
        longest: float = NOTE.unpack_from(self._shared)[0]
        NOTE.pack_into(self._shared, 0, 0.0)
        return longest


def watch(longest: LongestRound) -> None:
    """Have every event loop of this process note its rounds."""
    loops: Any = asyncio.base_events.BaseEventLoop
    once = loops._run_once

    def noted(loop: Any) -> None:
        begin = time.thread_time()
        once(loop)
        longest.note(time.thread_time() - begin)

    loops._run_once = noted
    # uvloop has rounds of its own.
    serve._loop_factory = lambda: None


if __name__ == "__main__":
    watch(LongestRound(Path(sys.argv.pop(1))))
    main()
