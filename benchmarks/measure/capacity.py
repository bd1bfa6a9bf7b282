"""How many real-time voice sessions there is room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.environment import say
from benchmarks.figures import spread
from benchmarks.lab import Lab, LoadFailed, container, emulator
from benchmarks.plan import Extent
from benchmarks.processes import NotStarted, Running

ADDED_MS = 20.0
# Something else on the machine can make a step fail, and nothing can make it pass: one more try.
TRIES = 2


def largest(passes: Callable[[int], bool], *, first: int, most: int, step: float) -> int:
    """The largest number that passes, by doubling and then by halving what is left.

    Args:
        passes: whether a number does; taken to fail above some number and to pass below it.
        first: where to begin.
        most: where to stop; the answer where even that passes.
        step: how close to come, as a share of the answer.

    Returns:
        0 where not even one passes.
    """
    good, bad, tried = 0, most + 1, min(first, most)
    while bad - good > max(1, int(step * good)):
        if passes(tried):
            good = tried
        else:
            bad = tried
        tried = min(2 * good, most) if bad > most else (good + bad) // 2
    return good


def capacity(lab: Lab, plan: Extent) -> list[dict[str, Any]]:
    """Search on one worker and on two; one row for each, with every step of the search."""
    rows: list[dict[str, Any]] = []
    with container("voice", lab.python) as voice:
        for workers in (1, 2):
            try:
                with emulator(voice, workers, f"emulator-{workers}-workers") as server:
                    rows.append(_search(lab, plan, voice, server, workers))
            except NotStarted as error:
                lab.note(f"capacity on {workers} workers was skipped: {error}")
    return rows


def _search(
    lab: Lab, plan: Extent, voice: Running, server: Running, workers: int
) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []

    def passes(sessions: int) -> bool:
        return any(attempt(sessions) for _ in range(TRIES))

    def attempt(sessions: int) -> bool:
        say(f"capacity on {workers} worker(s): {sessions} voice sessions")
        step: dict[str, Any] = {"sessions": sessions, "passed": False}
        steps.append(step)
        try:
            limit = _speak(lab, plan, "direct", voice, sessions)
            found = _speak(lab, plan, "lean", server, sessions)
        except LoadFailed as error:
            step["why"] = str(error)
            return False
        added = {way: round(found[way] - limit[way], 3) for way in ("up_p99", "down_p99")}
        step |= {"added": added, "lost": found["lost"], "direct": limit, "emulator": found}
        step["passed"] = found["lost"] == 0 and max(added.values()) < ADDED_MS
        return bool(step["passed"])

    answer = largest(
        passes, first=plan.capacity_from, most=plan.capacity_most, step=plan.capacity_step
    )
    at_answer = next((s for s in reversed(steps) if s["sessions"] == answer and s["passed"]), None)
    return {
        "workers": workers,
        "sessions": answer,
        "at_least": answer >= plan.capacity_most,
        "at_answer": at_answer,
        "steps": steps,
    }


def _speak(lab: Lab, plan: Extent, route: str, server: Running, sessions: int) -> dict[str, Any]:
    result = lab.load(
        "voice",
        route,
        server,
        sessions=sessions,
        warm_up=plan.warm_up,
        seconds=plan.capacity_seconds,
    )
    if not result["up_us"] or not result["down_us"]:
        raise LoadFailed(f"{route}: no frame arrived in time with {sessions} sessions")
    return {
        "up_p50": spread(result["up_us"])["p50"],
        "up_p99": spread(result["up_us"])["p99"],
        "down_p50": spread(result["down_us"])["p50"],
        "down_p99": spread(result["down_us"])["p99"],
        "sent_late_p99": spread(result["late_us"])["p99"],
        "lost": result["lost"],
        "server_busy": round(result["cpu_seconds"] / result["seconds"], 2),
        "generator_busy": round(result["generator_cpu_seconds"] / result["seconds"], 2),
    }
