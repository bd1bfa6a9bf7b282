"""`bidi serve --workers N`: processes that take connections from one socket."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

from emulator.announce import announce
from emulator.config import Config
from emulator.emulator import Emulator, listen
from emulator.serve import STOP_SIGNALS


def run_workers(config: Config, count: int) -> int:
    """Run the emulator in `count` processes that take connections from one socket.

    A worker that ends before its time ends them all: half an emulator would be a riddle.

    Returns:
        The exit status: 0, or that of the worker that failed.

    Raises:
        PortTaken: the address cannot be listened on.
    """
    listener = listen(config.host, config.port)
    listener.set_inheritable(True)
    command = [sys.executable, "-m", "emulator.worker", str(listener.fileno())]
    # Blocked here, they stay blocked in the workers, which take their orders through the pipe.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, pass_fds=[listener.fileno()])
        for _ in range(count)
    ]
    told = False

    def tell_all(number: int, frame: object = None) -> None:
        nonlocal told
        told = True
        for worker in workers:
            _write(worker, bytes([number]))

    for worker in workers:
        _write(worker, config.model_dump_json(exclude_defaults=True).encode() + b"\n")
    for number in STOP_SIGNALS:
        signal.signal(number, tell_all)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    announce(Emulator(config=config, listener=listener), config)
    listener.close()
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    # One that ends as it was told takes nothing from the grace of the others.
    if not told:
        tell_all(signal.SIGTERM)
    return next((status for status in [worker.wait() for worker in workers] if status), 0)


def _write(worker: subprocess.Popen[bytes], data: bytes) -> None:
    assert worker.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # It has ended: its status says why.
        worker.stdin.write(data)
