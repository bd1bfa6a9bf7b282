"""Where the emulator's time goes under saturated load: `python -m benchmarks.profile`."""

from __future__ import annotations

import argparse
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.environment import BENCH, bench_python
from benchmarks.figures import rate
from benchmarks.lab import Lab, container, emulator
from benchmarks.load.payloads import VOICE_FRAME
from benchmarks.plan import COST_SESSIONS
from benchmarks.processes import NotStarted, Running, which

SAMPLES_PER_SECOND = 500
WARM_UP = 1.0
COMMON = 0.95

# By the innermost frame of a sample; the first that is in its path names the part.
PARTS = (
    ("sagemaker_bidi/contract/sigv4/", "signatures (W4)"),
    ("hmac.py", "signatures (W4)"),
    ("sagemaker_bidi/contract/eventstream/", "event stream (W3)"),
    ("sagemaker_bidi/contract/", "rules of the session"),
    ("sagemaker_bidi/transport/http2/", "our HTTP/2 layer"),
    ("h2/", "h2, hyperframe"),
    ("hyperframe/", "h2, hyperframe"),
    ("hpack/", "h2, hyperframe"),
    ("sagemaker_bidi/transport/container", "WebSocket to the container"),
    ("websockets/", "WebSocket to the container"),
    ("random.py", "WebSocket to the container"),
    ("sagemaker_bidi/", "session's pumps"),
    ("ssl.py", "TLS"),
    ("sslproto.py", "TLS"),
    ("asyncio/", "event loop and sockets"),
    ("selectors.py", "event loop and sockets"),
    ("uvloop", "event loop and sockets"),
)
OTHER = "other"


def read_stacks(lines: Iterable[str]) -> list[tuple[list[str], int]]:
    """py-spy's raw format: frames from the outermost in, joined by `;`, and how often."""
    found: list[tuple[list[str], int]] = []
    for line in lines:
        stack, _, count = line.rstrip("\n").rpartition(" ")
        # Lines of one function belong together.
        frames = [f"{frame.rpartition(':')[0]})" for frame in stack.split(";") if ":" in frame]
        if frames:
            found.append((frames, int(count)))
    return found


def summarise(stacks: list[tuple[list[str], int]], most: int = 25) -> dict[str, Any]:
    """Shares of all samples: by part, by function alone, and by function with what it calls."""
    total = sum(count for _, count in stacks) or 1
    parts: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for frames, count in stacks:
        parts[_part(frames[-1])] += count
        alone[frames[-1]] += count
        for frame in set(frames):
            within[frame] += count

    def shares(counted: Counter[str]) -> list[list[Any]]:
        return [[name, round(count / total, 4)] for name, count in counted.most_common(most)]

    return {
        "samples": total,
        "parts": shares(parts),
        "alone": shares(alone),
        # What is in nearly every sample is only the way to the work.
        "within": shares(Counter({f: n for f, n in within.items() if n < COMMON * total})),
    }


def _part(frame: str) -> str:
    return next((name for path, name in PARTS if path in frame), OTHER)


def profile(lab: Lab, server: Running, seconds: float, size: int = VOICE_FRAME) -> dict[str, Any]:
    """Sample the emulator with py-spy while it is saturated.

    Raises:
        NotStarted: py-spy is not installed, or may not look at the process.
    """
    program = which("py-spy")
    if program is None:
        raise NotStarted("py-spy is not installed in .bench/")
    raw = BENCH / "profile.raw"
    failed: list[str] = []

    def sample() -> None:
        command = [program, "record", "--pid", str(server.pid), "--format", "raw"]
        command += ["--rate", str(SAMPLES_PER_SECOND), "--duration", str(max(1, round(seconds)))]
        command += ["--output", str(raw)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            failed.append(done.stderr.strip())

    sampler = threading.Timer(WARM_UP, sample)
    sampler.start()
    result = lab.load(
        "saturated",
        "lean",
        server,
        sessions=COST_SESSIONS,
        size=size,
        warm_up=WARM_UP,
        seconds=seconds + 1.0,
    )
    sampler.join()
    if failed:
        raise NotStarted(f"py-spy gave no profile: {failed[0]}")
    with raw.open() as lines:
        found = summarise(read_stacks(lines))
    found["frames_per_cpu_second"] = rate(2 * result["round_trips"], result["cpu_seconds"])
    return found


def show(found: dict[str, Any]) -> str:
    """A profile as text."""
    lines = [f"frames for one CPU second, sampled: {found['frames_per_cpu_second']}"]
    titles = (("parts", "by part"), ("alone", "by function"), ("within", "with what it calls"))
    for key, title in titles:
        lines += ["", title, *(f"{share:7.1%}  {name}" for name, share in found[key])]
    return "\n".join(lines)


def main() -> None:
    """Profile the emulator and print where its time goes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--size", type=int, default=VOICE_FRAME, help="bytes of a frame")
    parser.add_argument("--raw", type=Path, help="keep the stacks here, for a flame graph")
    options = parser.parse_args()
    python = bench_python()
    with container("echo", python) as echo, emulator(echo) as server:
        print(show(profile(Lab(python), server, options.seconds, options.size)))
    if options.raw is not None:
        (BENCH / "profile.raw").replace(options.raw)


if __name__ == "__main__":
    main()
