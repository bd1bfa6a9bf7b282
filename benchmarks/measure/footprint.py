"""Memory of idle sessions, and the time to start."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.environment import say
from benchmarks.figures import per_session
from benchmarks.lab import Lab, LoadFailed, emulator
from benchmarks.plan import Extent

PER_CONNECTION = 100


def memory(lab: Lab, plan: Extent) -> list[dict[str, Any]]:
    """Resident memory of a fresh emulator with more and more idle sessions; one row a level."""
    levels = ",".join(map(str, plan.memory))
    say(f"memory with {levels} idle sessions")
    with emulator(lab.servers["direct"], name="emulator-idle") as fresh:
        try:
            result = lab.load("idle", "lean", fresh, levels=levels, per_connection=PER_CONNECTION)
        except LoadFailed as error:
            lab.note(f"memory: {error}")
            return []
    if result["refused"]:
        lab.note(
            f"memory: {result['refused']} openings were refused and tried again: "
            "the container's WebSocket was not open within 250 ms (O3)"
        )
    points = result["points"]
    costs = dict(per_session([(point["sessions"], point["bytes"]) for point in points]))
    return [
        {
            "sessions": point["sessions"],
            "resident_mib": round(point["bytes"] / 2**20, 1),
            "kib_per_session": costs.get(point["sessions"]),
            "opening_seconds": round(point["opening_seconds"], 2),
        }
        for point in points
    ]


def startup(lab: Lab, plan: Extent) -> dict[str, Any]:
    """From the start of `bidi serve` to the first TLS handshake; median of several."""
    say(f"start-up, {plan.starts} times")
    seconds: list[float] = []
    for _ in range(plan.starts):
        with emulator(lab.servers["direct"], name="emulator-start") as fresh:
            seconds.append(round(fresh.started_seconds, 3))
    return {"seconds": seconds, "median": round(statistics.median(seconds), 3)}
