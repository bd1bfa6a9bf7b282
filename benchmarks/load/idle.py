"""Idle: sessions that are open and silent, for the memory that each costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from benchmarks.load.cpu import resident_bytes
from benchmarks.load.routes import Refusals, Target, open_sessions
from benchmarks.load.session import LoadSession

SETTLE_SECONDS = 1.5
REFUSED_SHARE = 0.05


async def idle(target: Target, levels: Sequence[int], *, pids: Sequence[int]) -> dict[str, Any]:
    """Open more and more sessions; gives the resident memory at each level.

    Args:
        levels: numbers of open sessions, growing.
        pids: whose memory is read, with that of their descendants.
    """
    sessions: list[LoadSession] = []
    refusals = Refusals(allowed=round(levels[-1] * REFUSED_SHARE))
    points = [{"sessions": 0, "bytes": resident_bytes(pids), "opening_seconds": 0.0}]
    for level in levels:
        begin = perf_counter()
        sessions += await open_sessions(target, level - len(sessions), refusals)
        opening = perf_counter() - begin
        await asyncio.sleep(SETTLE_SECONDS)
        points.append(
            {"sessions": level, "bytes": resident_bytes(pids), "opening_seconds": opening}
        )
    return {
        "points": points,
        "refused": refusals.seen,
        "failures": sorted({s.failure for s in sessions if s.failure is not None}),
    }
