"""The container's process: found once, and signalled only for as long as it is that one."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from typing import Self

from sagemaker_bidi_contract.options import TargetError

_POLL_SECONDS = 0.2


class ContainerProcess:
    """A process of this machine, this one's child or not, from entry to exit of the block.

    Where the system has file descriptors for processes (Linux), none that gets the number of one
    that has ended is taken for it.

    Args:
        pid: its number, checked by `Options`.

    Raises:
        TargetError: on entry: there is no such process, or this user may not signal it.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        try:
            self._descriptor = _open(self.pid)
            self._send(0)  # sends nothing, and says whether it could
        except (ProcessLookupError, OverflowError) as error:
            self._close()
            raise TargetError(f"--pid {self.pid}: there is no such process") from error
        except OSError as error:
            self._close()
            why = error.strerror or error
            raise TargetError(f"--pid {self.pid}: it cannot be sent SIGTERM: {why}") from error
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    def terminate(self) -> None:
        """Send SIGTERM.

        Raises:
            ProcessLookupError: it has ended.
        """
        self._send(signal.SIGTERM)

    async def gone(self) -> None:
        """Wait for its end."""
        if self._descriptor is None:
            await self._poll()
            return
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._descriptor)

    async def _poll(self) -> None:
        while True:
            try:
                self._send(0)
            except ProcessLookupError:
                return
            await asyncio.sleep(_POLL_SECONDS)

    def _send(self, number: int) -> None:
        if self._descriptor is None:
            os.kill(self.pid, number)
        else:
            signal.pidfd_send_signal(self._descriptor, number)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open(pid: int) -> int | None:
    """A descriptor of the process; None on systems that have none for processes (macOS)."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return None
        raise
