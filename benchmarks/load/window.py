"""The measured part of a run."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Protocol

from benchmarks.load.cpu import cpu_seconds
from benchmarks.load.payloads import SEED

PACE = 8.0  # frames a second of a paced session
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


class Flow(Protocol):
    """What a paced session does."""

    def start(self, first: float, measured: tuple[float, float]) -> None:
        """Send from `first` on, until the window `measured` ends; times of the event loop."""


async def paced_window(
    flows: Sequence[Flow], *, warm_up: float, seconds: float, pids: Sequence[int]
) -> tuple[dict[str, float], tuple[float, float]]:
    """Start the flows evenly apart, and let the window pass.

    Args:
        warm_up: seconds before the measured window.
        seconds: of the window.
        pids: whose CPU is counted.

    Returns:
        What `Window.end` gives, and the window's two ends.
    """
    loop = asyncio.get_running_loop()
    source = random.Random(SEED)
    begin = loop.time() + 0.05
    measured = (begin + warm_up, begin + warm_up + seconds)
    for number, flow in enumerate(flows):
        # Off the grid, so that neither bursts nor timers line up.
        flow.start(begin + (number + source.random()) / len(flows) / PACE, measured)
    await asyncio.sleep(measured[0] - loop.time())
    window = Window(pids)
    await asyncio.sleep(measured[1] - loop.time())
    return window.end(), measured


def microseconds(flows: Iterable[Iterable[float]]) -> list[int]:
    """The seconds of all flows in whole microseconds."""
    return [round(each * 1e6) for flow in flows for each in flow]
