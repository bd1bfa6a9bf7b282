"""The environment that the benchmarks make for themselves, and what is told of the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / ".bench"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
OURS = ("aws-sdk-sagemaker-runtime-http2", "awscrt", "h2", "Hypercorn", "uvloop", "websockets")


def bench_python() -> Path:
    """The interpreter of `.bench/`; makes the environment where it is missing or out of date.

    Raises:
        subprocess.CalledProcessError: the environment cannot be made; the output says why.
    """
    python, mark = BENCH / "bin" / "python", BENCH / ".ready"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return python
    say(f"setting up {BENCH.name}/ with {platform.python_version()}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", BENCH], check=True)
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*install, "--requirement", REQUIREMENTS], check=True, stderr=subprocess.DEVNULL)
    mark.write_text(wanted)
    return python


def say(text: str) -> None:
    """Tell the user how far the run is."""
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """The machine and what runs on it."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20) if memory else None,
        "kernel": platform.release(),
        "system": _system(),
        "python": platform.python_version(),
        "busy_before": round(_busy(1.0), 3),
    }


def versions() -> dict[str, str | None]:
    """Versions of the emulator's libraries and of its peers; None for what is not there."""
    found: dict[str, str | None] = {}
    for name in OURS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    for line in REQUIREMENTS.read_text().splitlines():
        name, pinned, number = line.partition("==")
        if pinned:
            found[f"{name} (benchmarks)"] = number
    found["nghttpx"] = _first_line("nghttpx", "--version")
    found["openssl"] = __import__("ssl").OPENSSL_VERSION
    return found


def revision() -> dict[str, Any]:
    """The commit that was measured, and whether the tree differs from it."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = [line for line in _git("status", "--porcelain").splitlines() if "docs/" not in line]
    return {"commit": head, "changed": bool(changed)}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def _first_line(program: str, option: str) -> str | None:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        return None
    done = subprocess.run([path, option], capture_output=True, text=True)
    return done.stdout.partition("\n")[0] or None


def _cpu_model() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _busy(seconds: float) -> float:
    before = _jiffies()
    time.sleep(seconds)
    busy, every = (b - a for a, b in zip(before, _jiffies(), strict=True))
    return busy / max(1, every)


def _jiffies() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    # Idle and waiting for disks is not busy; stolen time is, for us.
    return sum(fields) - fields[3] - fields[4], sum(fields)
