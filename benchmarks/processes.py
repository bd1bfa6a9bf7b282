"""The processes of a run: started, waited for, and ended with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import BENCH, ROOT

START_SECONDS = 30.0
STOP_SECONDS = 5.0


class NotStarted(Exception):
    """A process of the run did not come up; says which and what it printed."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server of the run.

    Args:
        name: for the tables.
        url: where clients go.
        pid: its first process; what it spawns belongs to it.
        ca: the roots that its certificate is checked against.
        started_seconds: from the start of the process until it accepted a connection, with TLS
            where it speaks TLS.
    """

    name: str
    url: str
    pid: int
    ca: Path | None
    started_seconds: float


def free_port() -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    url: str,
    *,
    ca: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Run a server for the length of the block.

    Args:
        name: of the server, also of its log file in `.bench/logs`.
        command: the process.
        url: where it will listen; `https` and `wss` wait for a TLS handshake.
        ca: see `Running`.
        environment: on top of this process's own.

    Raises:
        NotStarted: it ended, or did not listen within `START_SECONDS`.
    """
    log = BENCH / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while not _accepts(url):
            waited = time.perf_counter() - begin
            if process.poll() is not None or waited > START_SECONDS:
                what = "ended" if process.poll() is not None else "did not listen"
                raise NotStarted(f"{name} {what} after {waited:.1f} s: {log.read_text()[-2000:]}")
            time.sleep(0.002)
        yield Running(name, url, process.pid, ca, time.perf_counter() - begin)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS / 5)
        # The emulator gives open sessions their time; a second signal ends that.
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _accepts(url: str) -> bool:
    scheme, _, authority = url.partition("://")
    host, _, port = authority.partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2.0) as connection:
            if scheme in ("https", "wss"):
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                context.set_alpn_protocols(["h2", "http/1.1"])
                with context.wrap_socket(connection, server_hostname=host):
                    pass
    except OSError:
        return False
    return True


def which(name: str) -> str | None:
    """The path of a program, in `.bench/` or on PATH; None where there is none."""
    return shutil.which(name, path=f"{BENCH / 'bin'}:{os.environ.get('PATH', '')}:/usr/sbin")
