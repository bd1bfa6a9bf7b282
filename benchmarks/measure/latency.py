"""Round trips of a 5.6 KB text frame, paced 8 a second in each session."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from benchmarks.environment import say
from benchmarks.figures import ratio, spread
from benchmarks.lab import ROUTES, Lab, LoadFailed
from benchmarks.load.payloads import SEED
from benchmarks.plan import Extent

# Above this share of a core the generator, not what it measures, may be what is slow.
BUSY_GENERATOR = 0.8
LATE_MS = 20.0


def latency(lab: Lab, plan: Extent) -> list[dict[str, Any]]:
    """Measure every route at every number of sessions, taking turns; one row for each."""
    samples: dict[tuple[str, int], list[float]] = defaultdict(list)
    late: dict[tuple[str, int], list[float]] = defaultdict(list)
    rounds: dict[tuple[str, int], list[float]] = defaultdict(list)
    lost: dict[tuple[str, int], int] = defaultdict(int)
    busy: dict[tuple[str, int], list[float]] = defaultdict(list)
    order = random.Random(SEED)
    routes = [route for route in ROUTES if route in lab.servers]
    for number in range(plan.rounds):
        for sessions, seconds in plan.latency:
            for route in order.sample(routes, len(routes)):
                say(f"latency, round {number + 1} of {plan.rounds}: {route}, {sessions} sessions")
                try:
                    result = lab.load(
                        "paced",
                        route,
                        lab.servers[route],
                        sessions=sessions,
                        warm_up=plan.warm_up,
                        seconds=seconds,
                    )
                except LoadFailed as error:
                    lab.note(f"latency: {error}")
                    continue
                key = (route, sessions)
                samples[key] += result["latencies_us"]
                late[key] += result["late_us"]
                lost[key] += result["lost"] + result["wrong"]
                busy[key].append(result["generator_cpu_seconds"] / result["seconds"])
                if result["latencies_us"]:
                    rounds[key].append(spread(result["latencies_us"])["p99"])
    rows: list[dict[str, Any]] = []
    for sessions, _ in plan.latency:
        base = samples.get(("direct", sessions))
        limit = spread(base) if base else None
        for route in routes:
            key = (route, sessions)
            if not samples[key]:
                continue
            found = spread(samples[key])
            rows.append(
                {
                    "route": route,
                    "sessions": sessions,
                    **found,
                    "p99_rounds": rounds[key],
                    "ratio_p50": ratio(found["p50"], limit["p50"] if limit else None),
                    "ratio_p99": ratio(found["p99"], limit["p99"] if limit else None),
                    "lost": lost[key],
                    "sent_late_p99": spread(late[key])["p99"],
                    "generator_busy": round(max(busy[key]), 2),
                }
            )
            behind = spread(late[key])["p99"]
            if max(busy[key]) > BUSY_GENERATOR or behind > LATE_MS:
                lab.note(
                    f"{ROUTES[route]} with {sessions} sessions: the client itself was short of "
                    f"CPU (it used {max(busy[key]):.0%} of a core and sent {behind:.0f} ms late at "
                    "p99): its times are not the proxy's alone"
                )
    return rows
