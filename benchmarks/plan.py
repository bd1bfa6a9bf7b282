"""How much is measured: the full run, and the quick one that only shows that all of it works."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.load.payloads import BULK_FRAME, VOICE_FRAME


@dataclass(frozen=True, slots=True)
class Extent:
    """The sizes of a run; times in seconds.

    Args:
        rounds: how often each latency and cost is measured; the routes take turns within a round.
        latency: numbers of sessions, and the window for each.
        cost_seconds: window of a cost.
        growth: numbers of sessions at which a frame's cost is compared.
        capacity_seconds: window of one step of the search for the capacity.
        capacity_from: number of voice sessions that the search begins at.
        capacity_most: and that it stops at.
        capacity_step: how fine the search is, as a share of the answer.
        memory: numbers of idle sessions.
        starts: how often the start is timed.
        profile_seconds: of the profile under saturated load; 0 for none.
    """

    rounds: int = 2
    latency: tuple[tuple[int, float], ...] = ((1, 6.0), (50, 5.0), (200, 5.0))
    warm_up: float = 1.0
    cost_rounds: int = 2
    cost_seconds: float = 3.0
    growth: tuple[int, ...] = (1, 10, 100, 500, 1000)
    capacity_seconds: float = 4.0
    capacity_from: int = 100
    capacity_most: int = 3200
    capacity_step: float = 0.12
    memory: tuple[int, ...] = (100, 1000, 5000)
    starts: int = 5
    profile_seconds: float = 6.0


FULL = Extent()
QUICK = Extent(
    rounds=1,
    latency=((1, 1.5), (50, 1.5)),
    warm_up=0.3,
    cost_rounds=1,
    cost_seconds=1.0,
    growth=(1, 100),
    capacity_seconds=1.5,
    capacity_from=50,
    capacity_most=100,
    capacity_step=0.5,
    memory=(100, 500),
    starts=2,
    profile_seconds=0.0,
)

# Bytes of a frame and how many are under way at once, for the cost of a frame.
COSTS = ((VOICE_FRAME, 128), (BULK_FRAME, 32))
COST_SESSIONS = 50
