"""The measured part of a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from time import perf_counter

from benchmarks.load.cpu import cpu_seconds

DRAIN_SECONDS = 5.0


class Window:
    """The measured part of a run: time and CPU between its two ends.

    Args:
        pids: the processes whose CPU is counted, with their descendants.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._start = (perf_counter(), cpu_seconds(pids), time.process_time())

    def end(self) -> dict[str, float]:
        """Seconds passed, of the processes' CPU, and of this generator's."""
        before, after = self._start, (perf_counter(), cpu_seconds(self._pids), time.process_time())
        names = ("seconds", "cpu_seconds", "generator_cpu_seconds")
        return {name: b - a for name, a, b in zip(names, before, after, strict=True)}


async def drained(done: Callable[[], bool]) -> None:
    """Wait until `done()`, at most `DRAIN_SECONDS`: what has not come by then counts as lost."""
    deadline = perf_counter() + DRAIN_SECONDS
    while not done() and perf_counter() < deadline:  # noqa: ASYNC110 - it is asked after the work
        await asyncio.sleep(0.02)
