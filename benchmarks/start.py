"""`python -m benchmarks.start`: what our being installed costs a project, and when help is there.

    python -m benchmarks.start --before OTHER/bin/python

measures another environment in turn with this one, such as an older checkout's, and keeps both for
the page. Each number is CPU time, the least of several runs: nothing here waits for anything, and
what else the machine does would only add to the time on the wall.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

KEPT = Path(__file__).parents[1] / "docs" / "performance" / "start.json"
RUNS = 9
PLUGIN_SECONDS = 0.05
HELP_SECONDS = 0.3
# Whatever else is installed here is no business of ours.
_ALONE = ("-c", "/dev/null", "-p", "no:asyncio", "-p", "no:anyio", "-p", "no:hypothesispytest")
_PLUGINS = ("bidi", "bidi-recordings", "sagemaker-bidi")
_WITHOUT = [word for name in _PLUGINS for word in ("-p", f"no:{name}")]


def commands(python: Path) -> dict[str, list[str]]:
    """What is measured, each as a command line."""
    collect = [str(python), "-m", "pytest", *_ALONE, "--collect-only", "-q"]
    return {
        "pytest": collect,
        "pytest without the plugin": [*collect, *_WITHOUT],
        "bidi --help": [str(python.parent / "bidi"), "--help"],
        "import sagemaker_bidi": [str(python), "-c", "import sagemaker_bidi"],
        "python": [str(python), "-c", ""],
    }


def measure(pythons: dict[str, Path], runs: int = RUNS) -> dict[str, dict[str, float]]:
    """CPU seconds by environment and command, the environments taking turns.

    Raises:
        CalledProcessError: a command failed.
    """
    found: dict[str, dict[str, float]] = {name: {} for name in pythons}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_nothing.py").write_text("def test(): pass\n")
        for _ in range(runs):
            for name, python in pythons.items():
                for what, command in commands(python).items():
                    begin = _used()
                    subprocess.run(command, cwd=folder, check=True, capture_output=True)
                    took = _used() - begin
                    found[name][what] = min(took, found[name].get(what, took))
    return found


def _used() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def rows(seconds: dict[str, float]) -> dict[str, float]:
    """The numbers of the page, of one environment's."""
    return {
        "plugin": seconds["pytest"] - seconds["pytest without the plugin"],
        "help": seconds["bidi --help"],
        "import": seconds["import sagemaker_bidi"] - seconds["python"],
    }


def section(kept: Path = KEPT) -> list[tuple[str, float | None, float, float | None]]:
    """What is kept: each number's words, before, now, and the most that it may be."""
    if not kept.is_file():
        return []
    found: dict[str, Any] = json.loads(kept.read_text("utf-8"))
    now, before = found["now"], found.get("before", {})
    return [
        (words, before.get(name), now[name], limit)
        for name, words, limit in (
            ("plugin", "added to `pytest --collect-only` where nothing uses it", PLUGIN_SECONDS),
            ("help", "`bidi --help`", HELP_SECONDS),
            ("import", "`import sagemaker_bidi`", None),
        )
    ]


def main() -> int:
    """Measure, keep, and tell; 1 where a number is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--before", type=Path, help="the python of an older environment")
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    pythons = {"now": Path(sys.executable)}
    if given.before is not None:
        # Not resolved: an environment's python is a link to another's.
        pythons["before"] = given.before.absolute()
    kept: dict[str, Any] = json.loads(KEPT.read_text("utf-8")) if KEPT.is_file() else {}
    for name, seconds in measure(pythons, given.runs).items():
        kept[name] = {key: round(value, 3) for key, value in rows(seconds).items()}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    told = section()
    for words, before, now, _ in told:
        was = "" if before is None else f"{before:.3f} before, "
        print(f"{words}: {was}{now:.3f} s now")
    return int(any(limit is not None and now > limit for _, _, now, limit in told))


if __name__ == "__main__":
    sys.exit(main())
