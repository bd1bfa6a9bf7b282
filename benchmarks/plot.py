"""Draws the numbers of a run, in `.bench/`: `python -m benchmarks.plot RESULTS.json OUT.png`."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# As on the page; that module's imports are not all in this environment.
NAMES = {
    "direct": "direct",
    "lean": "emulator\nlean",
    "sdk": "emulator\nAWS SDK",
    "nghttpx": "nghttpx",
    "mitmproxy": "mitmproxy",
}
COLOURS = {1: "#9ecae1", 50: "#4292c6", 200: "#08519c"}
OURS, PEERS = "#08519c", "#8c8c8c"
MARKS = (("p50", "_"), ("p99", "o"), ("p999", "^"))


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the plot.

    Args:
        results: a line of the history.
        path: of the PNG.
    """
    matplotlib = import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = import_module("matplotlib.pyplot")
    figure, ((latency, cost), (growth, memory)) = pyplot.subplots(2, 2, figsize=(12, 8.5))
    _latency(latency, results["latency"])
    _cost(cost, results["cost"])
    _growth(growth, results["growth"])
    _memory(memory, results["memory"])
    machine = results["machine"]
    figure.suptitle(
        f"{results['date'][:10]} · {results['revision']['commit']} · {machine['cpu']}, "
        f"{machine['cores']} cores · Python {machine['python']}",
        fontsize=10,
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _latency(axes: Any, rows: list[dict[str, Any]]) -> None:
    routes = [route for route in NAMES if any(row["route"] == route for row in rows)]
    levels = sorted({row["sessions"] for row in rows})
    for row in rows:
        place = routes.index(row["route"]) + (levels.index(row["sessions"]) - 1) * 0.24
        found = [(row[name], mark) for name, mark in MARKS if row[name] is not None]
        colour = COLOURS.get(row["sessions"], OURS)
        heights = [value for value, _ in found]
        axes.vlines(place, min(heights), max(heights), color=colour, linewidth=2)
        for value, mark in found:
            axes.plot(place, value, mark, color=colour, markersize=9 if mark == "_" else 6)
    axes.set_yscale("log")
    axes.set_xticks(range(len(routes)), [NAMES[route] for route in routes])
    axes.set_ylabel("ms")
    axes.set_title("Round trip of 5.6 KB: bar p50, dot p99, triangle p99.9", fontsize=10)
    for level in levels:
        axes.plot([], [], color=COLOURS.get(level, OURS), label=f"{level} sessions")
    axes.legend(fontsize=8)
    axes.grid(axis="y", alpha=0.3)


def _cost(axes: Any, rows: list[dict[str, Any]]) -> None:
    labels = [f"{NAMES[r['route']].split()[0]}\n{r['size']:,} bytes" for r in rows]
    values = [row["frames_per_cpu_second"] or 0 for row in rows]
    colours = [OURS if row["route"] == "lean" else PEERS for row in rows]
    # Points, not bars: a bar's length says nothing on a logarithmic axis.
    axes.scatter(range(len(labels)), values, s=90, c=colours)
    for place, value in enumerate(values):
        axes.annotate(
            f"{value:,.0f}",
            (place, value),
            textcoords="offset points",
            xytext=(0, 9),
            ha="center",
            fontsize=8,
        )
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yscale("log")
    axes.margins(y=0.2)
    axes.grid(axis="y", alpha=0.3)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title("Frames for one CPU second of the proxy, saturated", fontsize=10)


def _growth(axes: Any, rows: list[dict[str, Any]]) -> None:
    for load, label, style in (
        ("each", "one under way in each", "o-"),
        ("all", "128 over all", "s--"),
    ):
        found = [row for row in rows if row["load"] == load]
        axes.plot(
            [row["sessions"] for row in found],
            [row["cpu_us_per_frame"] for row in found],
            style,
            color=OURS,
            label=label,
        )
    if rows:
        axes.legend(fontsize=8)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("sessions")
    axes.set_ylabel("CPU µs")
    axes.set_title("Emulator: cost of a 5.6 KB frame", fontsize=10)
    axes.grid(alpha=0.3)


def _memory(axes: Any, rows: list[dict[str, Any]]) -> None:
    axes.plot(
        [row["sessions"] for row in rows], [row["resident_mib"] for row in rows], "o-", color=OURS
    )
    for row in rows[1:]:
        axes.annotate(
            f"{row['kib_per_session']:.0f} KiB each",
            (row["sessions"], row["resident_mib"]),
            textcoords="offset points",
            xytext=(0, -16),
            ha="center",
            fontsize=8,
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("idle sessions")
    axes.set_ylabel("resident MiB")
    axes.set_title("Emulator: memory of idle sessions", fontsize=10)
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
