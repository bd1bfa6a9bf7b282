"""The command `bidi` as a process of its own, as a user starts it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BIDI = Path(sys.executable).parent / "bidi"

type StartBidi = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a user with nothing of AWS's set, and a state folder of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    clean.pop("SSL_CERT_FILE", None)
    # What is printed has to come through a pipe at once without it.
    clean.pop("PYTHONUNBUFFERED", None)
    return {**clean, "BIDI_STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
def start_bidi(environment: dict[str, str]) -> Iterator[StartBidi]:
    """Start `bidi` with arguments; what still runs at the end of the test is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(BIDI), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.fixture
def run_bidi(start_bidi: StartBidi) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `bidi` to its end."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        process = start_bidi(*arguments)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def read_exports() -> Callable[[str], dict[str, str]]:
    """What a shell makes of `export` lines; other lines are comments."""

    def read(text: str) -> dict[str, str]:
        exports = {}
        for line in text.splitlines():
            if line.startswith("export "):
                (assignment,) = shlex.split(line.removeprefix("export "))
                name, _, value = assignment.partition("=")
                exports[name] = value
            else:
                assert line.startswith(("#", "unset ")), f"a shell would run this line: {line!r}"
        return exports

    return read
