"""A session on a connection of its own: an echo each 20 ms, and a line for each with its time.

Run as a process, so that what an attacker's client costs is not mistaken for the emulator's.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from time import monotonic, perf_counter

from benchmarks.load.payloads import payloads
from benchmarks.load.routes import Target, open_sessions

EACH = 0.02  # seconds, as a voice client sends
BYTES = 600
PATIENCE = 30.0  # seconds


async def talk(url: str, ca: str) -> None:
    """Print `ready`, then `WHEN MILLISECONDS` for each echo until standard input ends."""
    (session,) = await open_sessions(Target("lean", url, ca, 1), 1)
    choice = payloads(BYTES)[0]
    came: asyncio.Queue[float] = asyncio.Queue()

    def taken(text: bytes, at: float) -> None:
        if text != choice.text:
            sys.exit("an echo is not what was sent")
        came.put_nowait(at)

    session.taken = taken
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    over = loop.run_in_executor(None, sys.stdin.read)
    due = loop.time()
    while not over.done():
        due = max(due + EACH, loop.time())
        await asyncio.sleep(due - loop.time())
        session.prepare(choice)
        when, sent = monotonic(), perf_counter()
        session.send()
        try:
            arrived = await asyncio.wait_for(came.get(), PATIENCE)
        except TimeoutError:
            sys.exit(f"no echo for {PATIENCE:g} s; {session.failure}")
        print(f"{when:.6f} {(arrived - sent) * 1000:.3f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("ca")
    given = parser.parse_args()
    asyncio.run(talk(given.url, given.ca))
