"""The page: `docs/performance.md`, written from the numbers of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.aims import aims
from benchmarks.lab import ROUTES
from benchmarks.start import section

ANALYSIS = Path(__file__).with_name("analysis.md")
GENERATED = "<!-- Written by `python -m benchmarks`; edit benchmarks/report.py or analysis.md. -->"
NOTHING = "n/a"
SHARED = """\
Everything runs on the one machine above and shares its cores: the container, the proxy and the
load generator are a process each, and so are two workers and an idle peer. Where more of them
want to run than there are cores, they wait for each other, and the times say so. All routes do so
alike: they take turns in every round."""

type Row = Mapping[str, Any]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first column to the left, numbers to the right."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case float() if abs(value) >= 100:
            return f"{value:,.0f}"
        case float():
            return f"{value:.3g}" if abs(value) < 0.1 else f"{value:.2f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def page(results: Row) -> str:
    """The whole page.

    Args:
        results: a line of the history.
    """
    parts = [
        "# Performance",
        GENERATED,
        "Measured by `make bench` in one go, everything side by side: the same container, the same "
        "frames, the same run, the routes taking turns.",
        _machine(results),
        "![The measurements as a plot](performance/plot.png)",
        "## The aims",
        table(
            ("aim", "found", "met", "missed by"),
            [(aim.what, aim.found, aim.met, aim.missing) for aim in aims(results)],
        ),
        "## Latency",
        "Round trip of a 5.6 KB text frame, 8 a second in each session, sent whether or not the "
        "one before has come back. In milliseconds; `x` is the multiple of the direct WebSocket's.",
        _latency(results["latency"]),
        "## Cost",
        "Saturated: always some frames under way (128 of 5.6 KB, 32 of 64 KB, in 50 sessions). The "
        "CPU time is the proxy's own, user and system, from `/proc`. A frame up and its echo are "
        "two frames, for every proxy; every echo is compared byte for byte.",
        _cost(results["cost"]),
        _growth(results["growth"]),
        "## Capacity",
        "Voice sessions in real time: 8 frames of 5.6 KB a second up, 12.5 of 60 bytes down. There "
        "is room for as many as add less than 20 ms at p99 to the direct WebSocket's time, in each "
        "direction, with no frame lost. A number that fails is tried twice, as only something else "
        "on the machine can be the cause of a first failure and a second success.",
        _capacity(results["capacity"]),
        "## Memory and start",
        _footprint(results),
        _guest(),
        "## Where the time goes",
        _profile(results.get("profile")),
        ANALYSIS.read_text().strip() if ANALYSIS.exists() else "",
        "## How it is measured",
        _method(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(results: Row) -> str:
    machine, revision = results["machine"], results["revision"]
    changed = ", with changes" if revision["changed"] else ""
    lines = [
        f"{results['date']}, commit `{revision['commit']}`{changed}"
        + (", **a quick run: too short to mean anything**" if results["quick"] else ""),
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"{machine['system']}, Linux {machine['kernel']}, Python {machine['python']}",
        f"before the run the machine was {machine['busy_before']:.0%} busy",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _latency(rows: Sequence[Row]) -> str:
    header = (
        "route",
        "sessions",
        "p50",
        "x",
        "p99",
        "x",
        "p99 by round",
        "p99.9",
        "max",
        "frames",
        "lost",
    )
    return table(
        header,
        [
            (
                ROUTES[row["route"]],
                row["sessions"],
                row["p50"],
                row["ratio_p50"],
                row["p99"],
                row["ratio_p99"],
                _range(row["p99_rounds"], 2),
                row["p999"],
                row["max"],
                row["samples"],
                row["lost"],
            )
            for row in rows
        ],
    )


def _cost(rows: Sequence[Row]) -> str:
    header = ("proxy", "bytes", "frames / CPU s", "rounds", "MB / s", "MB / CPU s", "cores used")
    return table(
        header,
        [
            (
                ROUTES[row["route"]],
                row["size"],
                row["frames_per_cpu_second"],
                _range(row["frames_per_cpu_second_rounds"]),
                _mega(row["bytes_per_second"]),
                _mega(row["bytes_per_cpu_second"]),
                row["proxy_busy"],
            )
            for row in rows
        ],
    )


def _growth(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    before = (
        "The emulator with more and more sessions: with one frame of 5.6 KB under way in each, "
        "and with 128 over all. CPU time for a frame in µs."
    )
    levels = dict.fromkeys(row["sessions"] for row in rows)
    known = {(row["sessions"], row["load"]): row["cpu_us_per_frame"] for row in rows}
    body = [(level, known.get((level, "each")), known.get((level, "all"))) for level in levels]
    return f"{before}\n\n{table(('sessions', 'one in each', '128 over all'), body)}"


def _capacity(rows: Sequence[Row]) -> str:
    if not rows:
        return "Not measured."
    body: list[tuple[object, ...]] = []
    for row in rows:
        found = row["at_answer"]
        sessions = f"{'≥ ' if row['at_least'] else ''}{row['sessions']:,}"
        if found is None:
            body.append((row["workers"], sessions, *[None] * 4))
            continue
        emulator = found["emulator"]
        body.append(
            (
                row["workers"],
                sessions,
                found["added"]["up_p99"],
                found["added"]["down_p99"],
                emulator["server_busy"],
                emulator["generator_busy"],
            )
        )
    header = (
        "workers",
        "sessions",
        "added p99 up, ms",
        "added p99 down, ms",
        "cores, emulator",
        "cores, generator",
    )
    return table(header, body) + "\n\n" + _first_failures(rows)


def _first_failures(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        passed = {step["sessions"] for step in row["steps"] if step["passed"]}
        failed = [step for step in row["steps"] if step["sessions"] not in passed]
        if not failed:
            continue
        step = min(failed, key=lambda each: int(each["sessions"]))
        if "added" in step:
            why = (
                f"p99 added {step['added']['up_p99']:.1f} ms up, "
                f"{step['added']['down_p99']:.1f} ms down, {step['lost']} frames lost"
            )
        else:
            why = step["why"]
        lines.append(f"- {row['workers']} worker(s): {step['sessions']:,} sessions failed: {why}")
    return "\n".join(lines)


def _footprint(results: Row) -> str:
    parts = []
    if rows := results["memory"]:
        header = ("idle sessions", "resident MiB", "KiB for a session", "opened in, s")
        keys = ("sessions", "resident_mib", "kib_per_session", "opening_seconds")
        parts.append(table(header, [[row[key] for key in keys] for row in rows]))
    if start := results["startup"]:
        each = ", ".join(f"{seconds:.2f}" for seconds in start["seconds"])
        parts.append(
            "From the start of `bidi serve` until it has made a TLS handshake: "
            f"**{start['median']:.2f} s** (median of {each})."
        )
    return "\n\n".join(parts)


def _guest() -> str:
    if not (rows := section()):
        return ""
    told = "What it costs to have it installed, measured by `python -m benchmarks.start`:"
    return f"{told}\n\n{table(('CPU seconds', 'before', 'now', 'at most'), rows)}"


def _profile(found: Row | None) -> str:
    if found is None:
        return ""
    parts = table(
        ("the emulator saturated with 5.6 KB frames, sampled by py-spy", "share"),
        [(name, f"{share:.1%}") for name, share in found["parts"]],
    )
    functions = table(
        ("function, without what it calls", "share"),
        [(f"`{name}`", f"{share:.1%}") for name, share in found["alone"][:12]],
    )
    return f"{parts}\n\n{functions}"


def _method(results: Row) -> str:
    known = ", ".join(
        f"{name} {number}" if number else f"no {name}"
        for name, number in results["versions"].items()
    )
    loops = ", ".join(f"{route} on {loop}" for route, loop in results["loops"].items())
    notes = "".join(f"\n- {note}" for note in results["notes"])
    return f"""{SHARED}

- **Container**: `benchmarks/container.py`, an asyncio protocol that does the least that RFC 6455
  asks; it is never the limit, and its CPU is not counted. Event loops of the load generators:
  {loops}; the container's is that of the lean ones.
- **Direct**: a plain TCP WebSocket to the container, the limit of what a proxy can reach. All other
  routes have TLS 1.3 between client and proxy, with keys of one kind, and plain TCP behind it.
- **Lean client**: signed events on HTTP/2 by hand (`benchmarks/load/`), 10 sessions on a
  connection; the next frame is signed ahead of time, so that its time is the emulator's.
- **AWS SDK**: the newest release as applications use it, 10 sessions for a client object; its own
  work (signing, parsing, threads) is in its times.
- **nghttpx**: one worker, extended CONNECT, 10 sessions on a connection. **mitmproxy**: reverse
  mode, HTTP/1.1 over TLS, one session on a connection, as is usual for it.
- **Emulator**: `bidi serve --unknown-keys refuse`: every request and every event is verified.
- Percentiles are nearest-rank over all rounds; p99.9 only of 1,000 samples and more.
- Load is seeded with {results["seed"]}: same payloads, same phases, same order of routes.
- Versions: {known}.

Notes of this run:
{notes or "- none: no peer was skipped."}

The history of all full runs is `benchmarks/history.jsonl`; the numbers of this one are
`docs/performance/results.json`."""


def _range(values: Sequence[float], digits: int = 0) -> str:
    if not values:
        return NOTHING
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"


def _mega(value: float | None) -> float | None:
    return None if value is None else value / 1e6
