"""`python -m benchmarks.load`: run one piece of work and print its numbers as one line of JSON."""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
from time import perf_counter
from typing import Any

from benchmarks.load.idle import idle
from benchmarks.load.loop import NAME, run
from benchmarks.load.paced import paced
from benchmarks.load.payloads import payloads
from benchmarks.load.routes import Target, open_sessions
from benchmarks.load.saturated import saturated
from benchmarks.load.session import SessionLost
from benchmarks.load.voice import voice


async def perform(options: argparse.Namespace) -> dict[str, Any]:
    """Open the sessions, do the work."""
    target = Target(options.route, options.url, options.ca, options.per_connection)
    if options.work == "idle":
        levels = [int(level) for level in options.levels.split(",")]
        return await idle(target, levels, pids=options.pid)
    texts = payloads(options.size)
    begin = perf_counter()
    sessions = await open_sessions(target, options.sessions)
    opening = perf_counter() - begin
    # A collection of this process's garbage would be measured as the server's delay.
    gc.collect()
    gc.freeze()
    gc.disable()
    common: dict[str, Any] = {
        "warm_up": options.warm_up,
        "seconds": options.seconds,
        "pids": options.pid,
    }
    if options.work == "saturated":
        result = await saturated(sessions, texts, under_way=options.under_way, **common)
    elif options.work == "voice":
        result = await voice(sessions, texts, **common)
    else:
        result = await paced(sessions, texts, **common)
    return {"opening_seconds": opening, **result}


def main() -> None:
    """Parse the options, raise the limit of open files, and print the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("work", choices=("paced", "saturated", "voice", "idle"))
    parser.add_argument("--route", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca", help="roots to check certificates against, PEM")
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--levels", default="100", help="of `idle`: 100,1000,…")
    parser.add_argument("--per-connection", type=int, default=10)
    parser.add_argument("--size", type=int, default=5600, help="bytes of a frame")
    parser.add_argument("--under-way", type=int, default=128)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--pid", type=int, action="append", default=[])
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        result = run(perform(options))
    except (SessionLost, OSError) as error:
        sys.exit(f"error: {options.route} with {options.sessions} sessions: {error}")
    json.dump({"loop": NAME, **result}, sys.stdout)
    print(flush=True)


if __name__ == "__main__":
    main()
