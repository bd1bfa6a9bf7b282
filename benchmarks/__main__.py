"""`python -m benchmarks`: measure everything in one go and write the page."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.aims import aims
from benchmarks.environment import BENCH, ROOT, bench_python, machine, revision, say, versions
from benchmarks.lab import Lab, LoadFailed, lab
from benchmarks.load.payloads import SEED
from benchmarks.measure.capacity import capacity
from benchmarks.measure.cost import cost, growth
from benchmarks.measure.footprint import memory, startup
from benchmarks.measure.latency import latency
from benchmarks.plan import FULL, QUICK, Extent
from benchmarks.processes import NotStarted
from benchmarks.profile import profile
from benchmarks.report import page

HISTORY = Path(__file__).with_name("history.jsonl")
BUSY = 0.1
PARTS = ("latency", "cost", "growth", "capacity", "memory", "startup", "profile")


def measure(plan: Extent, parts: set[str], *, quick: bool) -> dict[str, Any]:
    """Run the measurements.

    Args:
        plan: how much.
        parts: which of `PARTS`.
        quick: noted with the results.

    Returns:
        A line of the history.

    Raises:
        NotStarted: the container or the emulator did not come up.
    """
    begin = time.monotonic()
    results: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "quick": quick,
        "revision": revision(),
        "machine": machine(),
        "versions": versions(),
        "seed": SEED,
    }
    python = bench_python()
    with lab(python) as made:
        if results["machine"]["busy_before"] > BUSY:
            made.note(
                f"the machine was {results['machine']['busy_before']:.0%} busy before the run: "
                "something else ran, and the numbers suffer from it"
            )
        results["latency"] = latency(made, plan) if "latency" in parts else []
        results["cost"] = cost(made, plan) if "cost" in parts else []
        results["profile"] = _profile(made, plan) if "profile" in parts else None
    # Without the peers: nothing is compared with them from here on.
    with lab(python, wanted=("direct",)) as alone:
        alone.notes = made.notes
        results["growth"] = growth(alone, plan) if "growth" in parts else []
        results["memory"] = memory(alone, plan) if "memory" in parts else []
        results["startup"] = startup(alone, plan) if "startup" in parts else None
        results["capacity"] = capacity(alone, plan) if "capacity" in parts else []
    results["loops"] = alone.loops | made.loops
    results["notes"] = made.notes
    results["took_seconds"] = round(time.monotonic() - begin)
    return results


def _profile(made: Lab, plan: Extent) -> dict[str, Any] | None:
    if not plan.profile_seconds:
        return None
    say("profile")
    try:
        return profile(made, made.servers["lean"], plan.profile_seconds)
    except (NotStarted, LoadFailed) as error:
        made.note(f"no profile: {error}")
        return None


def write(results: dict[str, Any], folder: Path) -> None:
    """Write page, numbers and plot.

    Args:
        folder: gets `performance.md` and `performance/`.
    """
    beside = folder / "performance"
    beside.mkdir(parents=True, exist_ok=True)
    (folder / "performance.md").write_text(page(results))
    numbers = beside / "results.json"
    numbers.write_text(json.dumps(results, indent=1) + "\n")
    command: list[str | Path] = [
        bench_python(),
        "-m",
        "benchmarks.plot",
        numbers,
        beside / "plot.png",
    ]
    subprocess.run(command, cwd=ROOT, check=True)


def main() -> None:
    """Parse the options, measure, write, and say where."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a minute, to see that all of it works; writes to .bench/quick, not to docs/",
    )
    parser.add_argument(
        "--only",
        metavar="PART,PART",
        help=f"measure only these ({', '.join(PARTS)}); writes to .bench/part, not to docs/",
    )
    options = parser.parse_args()
    parts = set(options.only.split(",")) if options.only else set(PARTS)
    if unknown := parts - set(PARTS):
        parser.error(f"--only {','.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    # Each idle session costs the emulator and the container a descriptor.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        results = measure(QUICK if options.quick else FULL, parts, quick=options.quick)
    except NotStarted as error:
        sys.exit(f"error: {error}")
    for_docs = not options.quick and not options.only
    folder = ROOT / "docs" if for_docs else BENCH / ("quick" if options.quick else "part")
    write(results, folder)
    if for_docs:
        with HISTORY.open("a") as history:
            history.write(json.dumps(results, separators=(",", ":")) + "\n")
    print(page(results))
    missed = [aim.what for aim in aims(results) if not aim.met]
    say(f"{results['took_seconds']} s; {folder / 'performance.md'}")
    say(f"aims missed: {'; '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
