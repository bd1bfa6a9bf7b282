"""`bidi serve --workers N`: processes that take connections from one socket."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterable

from sagemaker_bidi.config import Config
from sagemaker_bidi.emulator import Emulator, listen
from sagemaker_bidi.serving.announce import announce
from sagemaker_bidi.serving.serve import stop_signals
from sagemaker_bidi.session.containers import prepare
from sagemaker_bidi.shown import logger_named

logger = logger_named("bidi.workers")


def run_workers(config: Config, count: int, *, quiet: bool = False) -> int:
    """Run the emulator in `count` processes that take connections from one socket.

    A worker that ends before its time ends them all: half an emulator would be a riddle.

    Args:
        quiet: print nothing.

    Returns:
        The exit status: 0, or that of the worker that failed, 128 and its number for a signal.

    Raises:
        PortTaken: the address cannot be listened on.
        ExtraMissing: an endpoint stands in front of another one, and there is no AWS SDK.
    """
    prepare(config.endpoint_list())
    listener = listen(config.host, config.port)
    listener.set_inheritable(True)
    command = [sys.executable, "-m", "sagemaker_bidi.serving.worker", str(listener.fileno())]
    # Blocked here, they stay blocked in the workers, which take their orders through the pipe.
    heard = stop_signals()
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    started = [_start(command, listener.fileno()) for _ in range(count)]
    workers = [worker for worker, _ in started]
    told = False

    def tell_all(number: int, frame: object = None) -> None:
        nonlocal told
        told = True
        for worker in workers:
            _write(worker, bytes([number]))

    for worker in workers:
        _write(worker, config.model_dump_json(exclude_defaults=True).encode() + b"\n")
    for number in heard:
        signal.signal(number, tell_all)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)
    if not quiet:
        announce(Emulator(config=config, listener=listener), config)
    listener.close()
    ended = _first_to_end(started)
    # One that ends as it was told takes nothing from the grace of the others.
    early = [] if told else ended
    for worker in early:
        worker.wait()
        logger.error("%s before its time: stopping the others", _end(worker))
    if early:
        tell_all(signal.SIGTERM)
    failed = 0
    for worker in workers:
        if worker.wait() and worker not in early:
            logger.error("%s", _end(worker))
        failed = failed or worker.returncode
    return failed if failed >= 0 else 128 - failed


def _start(command: list[str], listener: int) -> tuple[subprocess.Popen[bytes], int]:
    """Start a worker; with the end of a pipe whose other end is open for as long as it lives."""
    life, held = os.pipe()
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, pass_fds=[listener, held])
    os.close(held)
    return worker, life


def _first_to_end(
    started: Iterable[tuple[subprocess.Popen[bytes], int]],
) -> list[subprocess.Popen[bytes]]:
    """Wait until a worker has ended, by its pipe: macOS has no `waitid` before Python 3.13."""
    with selectors.DefaultSelector() as lives:
        for worker, life in started:
            lives.register(life, selectors.EVENT_READ, worker)
        # A signal's handler may run meanwhile; the wait goes on by itself (PEP 475).
        return [key.data for key, _ in lives.select()]


def _end(worker: subprocess.Popen[bytes]) -> str:
    """How a worker has ended, in words."""
    status = worker.returncode
    how = f"with exit status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
    return f"worker {worker.pid} ended {how}"


def _write(worker: subprocess.Popen[bytes], data: bytes) -> None:
    assert worker.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # It has ended: its status says why.
        worker.stdin.write(data)
