"""CPU time and memory of processes, as Linux counts them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time so far, the processes' descendants included."""
    return sum(_cpu(member) for pid in pids for member in family(pid))


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory now, the processes' descendants included."""
    return sum(
        int(Path(f"/proc/{member}/statm").read_text().split()[1]) * PAGE
        for pid in pids
        for member in family(pid)
    )


def _cpu(pid: int) -> float:
    # The name of the process, in parentheses, may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK
