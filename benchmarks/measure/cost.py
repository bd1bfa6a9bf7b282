"""What a frame costs the proxy, saturated, and whether that grows with the sessions."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from benchmarks.environment import say
from benchmarks.figures import rate
from benchmarks.lab import ROUTES, Lab, LoadFailed, emulator
from benchmarks.load.payloads import SEED, VOICE_FRAME
from benchmarks.plan import COST_SESSIONS, COSTS, Extent
from benchmarks.processes import Running

# The AWS SDK is left out: it costs the emulator what the lean client does, and cannot saturate it.
PROXIES = ("lean", "nghttpx", "mitmproxy")
GROWTH_UNDER_WAY = 128


def cost(lab: Lab, plan: Extent) -> list[dict[str, Any]]:
    """Saturate each proxy with each size of frame, taking turns; one row for each.

    A round trip carries two frames, one up and one down. `proxy_busy` is the share of one core
    that the proxy had: below 1, the generator and the container were the limit, which changes how
    many bytes a second pass, and hardly what a frame costs.
    """
    sums: dict[tuple[str, int], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    spreads: dict[tuple[str, int], list[float]] = defaultdict(list)
    order = random.Random(SEED + 1)
    proxies = [route for route in PROXIES if route in lab.servers]
    for number in range(plan.cost_rounds):
        for size, under_way in COSTS:
            for route in order.sample(proxies, len(proxies)):
                say(f"cost, round {number + 1} of {plan.cost_rounds}: {route}, {size} bytes")
                result = _saturate(lab, plan, route, size, under_way, COST_SESSIONS)
                if result is None:
                    continue
                for name in ("round_trips", "bytes", "seconds", "cpu_seconds", "lost"):
                    sums[route, size][name] += result[name]
                each = rate(2 * result["round_trips"], result["cpu_seconds"])
                spreads[route, size] += [each] if each is not None else []
    return [
        {
            "route": route,
            "size": size,
            "frames_per_cpu_second": rate(2 * found["round_trips"], found["cpu_seconds"]),
            "frames_per_cpu_second_rounds": spreads[route, size],
            "round_trips_per_cpu_second": rate(found["round_trips"], found["cpu_seconds"]),
            "bytes_per_second": rate(2 * found["bytes"], found["seconds"]),
            "bytes_per_cpu_second": rate(2 * found["bytes"], found["cpu_seconds"]),
            "proxy_busy": round(found["cpu_seconds"] / found["seconds"], 2),
            "lost": int(found["lost"]),
        }
        for (route, size), found in sorted(sums.items(), key=lambda item: (item[0][1], item[0][0]))
    ]


def growth(lab: Lab, plan: Extent) -> list[dict[str, Any]]:
    """A frame's cost with more and more sessions.

    Once with one frame under way in each session, so that a session does the same among few as
    among many; and once with the same number of frames over all, so that the load is the same.
    """
    rows: list[dict[str, Any]] = []
    with emulator(lab.servers["direct"], name="emulator-growth") as fresh:
        for sessions in plan.growth:
            for load, under_way in (("each", sessions), ("all", GROWTH_UNDER_WAY)):
                say(f"cost with {sessions} sessions, {under_way} frames under way")
                result = _saturate(lab, plan, "lean", VOICE_FRAME, under_way, sessions, fresh)
                if result is None:
                    continue
                frames = 2 * result["round_trips"]
                rows.append(
                    {
                        "sessions": sessions,
                        "load": load,
                        "under_way": under_way,
                        "frames_per_cpu_second": rate(frames, result["cpu_seconds"]),
                        "cpu_us_per_frame": round(result["cpu_seconds"] / max(1, frames) * 1e6, 1),
                        "lost": result["lost"],
                    }
                )
    return rows


def _saturate(
    lab: Lab,
    plan: Extent,
    route: str,
    size: int,
    under_way: int,
    sessions: int,
    server: Running | None = None,
) -> dict[str, Any] | None:
    try:
        return lab.load(
            "saturated",
            route,
            server or lab.servers[route],
            sessions=sessions,
            size=size,
            under_way=under_way,
            warm_up=plan.warm_up,
            seconds=plan.cost_seconds,
        )
    except LoadFailed as error:
        lab.note(f"cost of {ROUTES[route]}, {size} bytes, {sessions} sessions: {error}")
        return None
