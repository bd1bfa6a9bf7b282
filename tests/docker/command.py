"""`bidi` as a person runs it: a process, its output as it comes, and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from sagemaker_bidi.containers.image_run import PROCESS_LABEL
from tests.docker.talk import docker

BIDI = Path(sys.executable).with_name("bidi")
LIMIT_SECONDS = 60


class Command:
    """A `bidi` command that runs: `with Command("serve", …) as command`.

    Every wait is bounded, and one that is over fails the test with the output so far. What still
    runs at the end of the block is interrupted, and what containers it has left are removed; a test
    that has passed until then fails for them.

    Args:
        arguments: of `bidi`.
        environment: beside this process's own.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._arguments = arguments
        self._environment = {**os.environ, **(environment or {})}
        # What is printed has to come through a pipe at once without it.
        self._environment.pop("PYTHONUNBUFFERED", None)
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._over = False

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [BIDI, *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGINT)
                self.process.wait(LIMIT_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            assert self.process.stdout is not None
            self.process.stdout.close()
            left = self.containers()
            for container in left:
                docker("rm", "--force", "--volumes", container)
        if error is None:
            assert left == [], f"{self} has left its containers behind:\n{self.output}"

    def containers(self) -> list[str]:
        """Ids of all containers that it has made and not removed."""
        label = f"label={PROCESS_LABEL}={self.process.pid}"
        return docker("ps", "--all", "--quiet", "--filter", label).split()

    @property
    def output(self) -> str:
        """Standard output and standard error so far, as they came."""
        with self._changed:
            return "".join(self._lines)

    def line(self, text: str, *, times: int = 1) -> str:
        """Wait until that many lines have this text in them; gives the last of those."""

        def found() -> list[str]:
            return [line for line in self._lines if text in line]

        with self._changed:
            self._changed.wait_for(lambda: self._over or len(found()) >= times, LIMIT_SECONDS)
            if len(lines := found()) >= times:
                return lines[times - 1].rstrip("\n")
        why = "it ended" if self._over else f"{LIMIT_SECONDS} s have passed"
        pytest.fail(f"{self} has not said {text!r} {times} times and {why}:\n{self.output}")

    def stop(self, number: signal.Signals) -> int:
        """Send a signal; gives the exit status."""
        self.process.send_signal(number)
        return self.status()

    def status(self) -> int:
        """Wait for the end; gives the exit status."""
        deadline = time.monotonic() + LIMIT_SECONDS
        try:
            status = self.process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self} still runs after {LIMIT_SECONDS} s:\n{self.output}")
        self._reader.join(deadline - time.monotonic())
        return status

    def __str__(self) -> str:
        return f"`bidi {' '.join(self._arguments)}`"

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()
