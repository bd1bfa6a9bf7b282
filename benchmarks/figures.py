"""The arithmetic of the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict


class Spread(TypedDict):
    """A distribution in few numbers; times in milliseconds.

    `p999` is None where there are fewer than 1,000 samples to tell it from the largest.
    """

    samples: int
    p50: float
    p99: float
    p999: float | None
    max: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` of all do not exceed (nearest rank).

    Args:
        ordered: the samples, sorted; at least one.
        share: 0 to 1.

    Raises:
        ValueError: there are no samples, or the share is none.
    """
    if not ordered:
        raise ValueError("a percentile needs at least one sample")
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies between 0 and 1 (received {share})")
    # The product may come out a hair above a whole number: 0.99 * 100 must stay rank 99.
    return ordered[max(0, math.ceil(round(share * len(ordered), 9)) - 1)]


def spread(microseconds: Sequence[float]) -> Spread:
    """Percentiles of times.

    Raises:
        ValueError: there are no samples.
    """
    ordered = sorted(microseconds)

    def milliseconds(share: float) -> float:
        return round(percentile(ordered, share) / 1000, 3)

    return {
        "samples": len(ordered),
        "p50": milliseconds(0.5),
        "p99": milliseconds(0.99),
        "p999": milliseconds(0.999) if len(ordered) >= 1000 else None,
        "max": milliseconds(1),
    }


def ratio(value: float | None, base: float | None) -> float | None:
    """`value` as a multiple of `base`; None where either is missing or `base` is nothing."""
    if value is None or not base:
        return None
    return round(value / base, 2)


def rate(count: float, seconds: float) -> float | None:
    """Things in a second; None where no time was counted."""
    return round(count / seconds, 1) if seconds > 0 else None


def per_session(points: Sequence[tuple[int, int]]) -> list[tuple[int, float]]:
    """Memory that each session costs, KiB, at each number of sessions.

    Args:
        points: number of open sessions and resident bytes; the first is the base.
    """
    base_sessions, base = points[0]
    return [
        (count, round((size - base) / (count - base_sessions) / 1024, 1))
        for count, size in points[1:]
    ]
