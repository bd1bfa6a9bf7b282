"""The JavaScript client's packages: installed by npm at their locked versions, once."""

from __future__ import annotations

import fcntl
import functools
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
OLDEST = 20
ENABLE = f"install Node.js {OLDEST} or newer with npm, then run: pytest -m node"


@functools.cache
def why_not() -> str | None:
    """What stands in the way of running JavaScript here, and how to change it; None for nothing."""
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            return f"{command} is not on PATH; {ENABLE}"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    found = version.stdout.strip()
    if int(found.removeprefix("v").partition(".")[0]) < OLDEST:
        return f"Node.js is {found}; {ENABLE}"
    return None


def install() -> None:
    """Put the locked packages into `node_modules` where they are missing or others.

    Raises:
        RuntimeError: npm failed; says what npm said.
    """
    locked, installed = HERE / "package-lock.json", HERE / "node_modules" / ".locked"
    with (HERE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.is_file() and installed.read_bytes() == locked.read_bytes():
            return
        command = ["npm", "ci", "--no-audit", "--no-fund"]
        run = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise RuntimeError(f"`{' '.join(command)}` failed in {HERE}: {run.stderr.strip()}")
        shutil.copyfile(locked, installed)
