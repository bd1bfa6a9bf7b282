"""Audio on its own time: each chunk leaves when a microphone would have it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

type Clock = Callable[[], float]
"""Tells the time in seconds, from any fixed point, never backwards."""

type Sleep = Callable[[float], Awaitable[object]]
"""Waits for a number of seconds."""


async def paced(
    chunks: Iterable[bytes],
    chunk_seconds: float,
    *,
    speed: float = 1.0,
    clock: Clock = time.perf_counter,
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[tuple[int, bytes]]:
    """Yield `(k, chunk)` at start + k * `chunk_seconds` / `speed`.

    The schedule is absolute: what a late chunk has cost isn't added to the next ones, so an hour
    of audio takes an hour, and a sender that was held up catches up. The clock starts with the
    first chunk.

    `speed` 2 sends twice as fast as speech; 0 and infinity send as fast as it goes.

    Raises ValueError for a negative speed, NaN, or a `chunk_seconds` that isn't positive.
    """
    if math.isnan(speed) or speed < 0:
        raise ValueError(f"speed is 0 (as fast as it goes) or more, not {speed}")
    if not chunk_seconds > 0:
        raise ValueError(f"a chunk lasts more than 0 s, not {chunk_seconds}")
    step = 0.0 if speed in (0, math.inf) else chunk_seconds / speed
    start = clock()
    for index, chunk in enumerate(chunks):
        # Even a chunk that is due goes through sleep: a sender that never lets go of the event
        # loop would keep the answers from being read.
        await sleep(max(0.0, start + index * step - clock()))
        yield index, chunk
