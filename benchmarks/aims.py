"""What the project set out to reach, held against a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.load.payloads import VOICE_FRAME

ADDED_P50_MS, ADDED_P99_MS = 0.5, 3.0
AIMED_SESSIONS = 50
SDK_P99_TO_P50 = 3.0
FRAMES_PER_CPU_SECOND = 10_000
VOICE_SESSIONS = 300
IDLE_KIB = 100.0
READY_SECONDS = 0.5
NGHTTPX_SHARE = 0.25
GROWTH = 1.25
GROWTH_LOADS = {"each": "one under way in each", "all": "128 under way over all"}

type Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Aim:
    """One aim and what came of it.

    Args:
        what: the aim in words.
        found: the measured value in words.
        met: whether it is reached.
        missing: by how much it is missed, in words; empty where it is met.
    """

    what: str
    found: str
    met: bool
    missing: str = ""


def aims(results: Row) -> list[Aim]:
    """Every aim that the run has numbers for."""
    return [
        *_latency(results["latency"]),
        *_cost(results["cost"]),
        *_footprint(results),
        *_peers(results),
    ]


def find(rows: Sequence[Row], **wanted: Any) -> Row | None:
    """The row whose fields have these values."""
    return next(
        (row for row in rows if all(row[key] == value for key, value in wanted.items())), None
    )


def _at_most(what: str, value: float, limit: float, unit: str) -> Aim:
    missing = "" if value <= limit else f"{value / limit - 1:.0%} over the aim"
    return Aim(what, f"{value:,.3g} {unit}", value <= limit, missing)


def _at_least(what: str, value: float, limit: float, unit: str) -> Aim:
    missing = "" if value >= limit else f"{value / limit:.0%} of the aim"
    return Aim(what, f"{value:,.0f} {unit}", value >= limit, missing)


def _latency(rows: Sequence[Row]) -> Iterator[Aim]:
    direct = find(rows, route="direct", sessions=AIMED_SESSIONS)
    lean = find(rows, route="lean", sessions=AIMED_SESSIONS)
    if direct is not None and lean is not None:
        for name, limit in (("p50", ADDED_P50_MS), ("p99", ADDED_P99_MS)):
            what = f"{name} added at {AIMED_SESSIONS} sessions at most {limit:g} ms"
            yield _at_most(what, max(0.0, lean[name] - direct[name]), limit, "ms")
    for row in rows:
        if row["route"] == "sdk" and row["sessions"] <= AIMED_SESSIONS:
            what = f"AWS SDK, {row['sessions']} open: p99 at most {SDK_P99_TO_P50:g} x p50"
            yield _at_most(what, row["p99"] / row["p50"], SDK_P99_TO_P50, "x p50")


def _cost(rows: Sequence[Row]) -> Iterator[Aim]:
    ours = find(rows, route="lean", size=VOICE_FRAME)
    if ours is not None:
        what = f"at least {FRAMES_PER_CPU_SECOND:,} frames for one CPU second"
        found = ours["frames_per_cpu_second"] or 0
        yield _at_least(what, found, FRAMES_PER_CPU_SECOND, "frames")


def _footprint(results: Row) -> Iterator[Aim]:
    one = find(results["capacity"], workers=1)
    if one is not None:
        what = f"at least {VOICE_SESSIONS} voice sessions on one worker"
        yield _at_least(what, one["sessions"], VOICE_SESSIONS, "sessions")
    for row in results["memory"]:
        if row["kib_per_session"] is not None:
            what = f"at most {IDLE_KIB:g} KiB for an idle session, {row['sessions']:,} open"
            yield _at_most(what, row["kib_per_session"], IDLE_KIB, "KiB")
    if results["startup"]:
        what = f"ready in {READY_SECONDS:g} s"
        yield _at_most(what, results["startup"]["median"], READY_SECONDS, "s")
    for load, meaning in GROWTH_LOADS.items():
        costs = [row["cpu_us_per_frame"] for row in results["growth"] if row["load"] == load]
        if len(costs) < 2:
            continue
        what = f"a frame costs no more with many sessions (at most {GROWTH:g} times), {meaning}"
        yield _at_most(what, costs[-1] / min(costs), GROWTH, "times the cheapest")


def _peers(results: Row) -> Iterator[Aim]:
    compared: list[str] = []
    behind: list[str] = []
    for row in results["latency"]:
        ours = find(results["latency"], route="lean", sessions=row["sessions"])
        if row["route"] != "mitmproxy" or ours is None:
            continue
        for name in ("p50", "p99"):
            compared.append(name)
            if ours[name] >= row[name]:
                behind.append(
                    f"{name} at {row['sessions']} sessions ({ours[name]} to {row[name]} ms)"
                )
    for row in results["cost"]:
        ours = find(results["cost"], route="lean", size=row["size"])
        if row["route"] != "mitmproxy" or ours is None:
            continue
        compared.append("cost")
        if (ours["frames_per_cpu_second"] or 0) <= (row["frames_per_cpu_second"] or 0):
            behind.append(f"frames for one CPU second at {row['size']:,} bytes")
    if compared:
        found = f"ahead in {len(compared) - len(behind)} of {len(compared)}"
        yield Aim(
            "emulator, lean client, ahead of mitmproxy in p50, p99 and frames for one CPU second",
            found,
            not behind,
            "; ".join(behind),
        )
    ours = find(results["cost"], route="lean", size=VOICE_FRAME)
    theirs = find(results["cost"], route="nghttpx", size=VOICE_FRAME)
    if ours is not None and theirs is not None and theirs["frames_per_cpu_second"]:
        share = (ours["frames_per_cpu_second"] or 0) / theirs["frames_per_cpu_second"]
        met = share >= NGHTTPX_SHARE
        yield Aim(
            "at least a quarter of nghttpx's frames for one CPU second",
            f"{share:.1%}",
            met,
            "" if met else f"{share / NGHTTPX_SHARE:.0%} of the aim",
        )
