"""SIGTERM, 30 s before SIGKILL (K4). It ends the container, so it is the last check."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

from contract_tests.checks import CONTAINER
from contract_tests.container.stage import ContainerStage
from contract_tests.exchange import milliseconds
from contract_tests.options import TargetError
from contract_tests.verdicts import Disappointed, Outcome, failed, non_strict, ok
from contract_tests.wire.received import End
from contract_tests.wire.stream import FrameStream

KILL_SECONDS = 30.0
_AT_ONCE_SECONDS = 1.5
_EXPECTED = "open sessions go on after SIGTERM, or are closed with 1001 and a reason"


@CONTAINER.check(
    "container.sigterm",
    "SIGTERM lets sessions finish, and the container exits within 30 s",
    clauses=("K4",),
    requires=("pid",),
    seconds=KILL_SECONDS + 15,
    ends_target=True,
)
async def sigterm(stage: ContainerStage) -> Outcome:
    pid = stage.options.pid
    assert pid is not None
    async with stage.session() as session:
        await session.text(stage.options.message)
        await session.pong(b"before SIGTERM", 5)
        exited = asyncio.create_task(_exit_of(pid))
        try:
            stage.log.add("container", "sent", f"SIGTERM to process {pid}")
            os.kill(pid, signal.SIGTERM)
            started = time.perf_counter()
            verdict = await _session_after(session, stage.options.message)
            await session.close(1000)
            with contextlib.suppress(Disappointed):
                await session.ended(5, "the answer to Close 1000")
            stage.awaited = "the container's exit"
            async with asyncio.timeout(KILL_SECONDS - (time.perf_counter() - started)):
                await exited
        except TimeoutError:
            return failed(
                f"the container had not exited {KILL_SECONDS:g} s after SIGTERM",
                expected="an exit within 30 s; SIGKILL comes then",
                advice="exit once the last session has ended",
            )
        except ProcessLookupError as error:
            raise TargetError(f"--pid {pid}: there is no such process") from error
        finally:
            exited.cancel()
            await asyncio.gather(exited, return_exceptions=True)
    took = milliseconds(time.perf_counter() - started)
    stage.log.add("container", "received", f"exit {took} after SIGTERM")
    return verdict


async def _session_after(session: FrameStream, message: str) -> Outcome:
    """See whether the session still works once the signal has had time to act."""
    try:
        end, _ = await session.ended(_AT_ONCE_SECONDS, "an end of the session")
    except Disappointed:
        try:
            await session.text(message)
            await session.pong(b"after SIGTERM", 5)
        except Disappointed as wrong:
            return failed(f"after SIGTERM: {wrong.summary}", expected=_EXPECTED, defects=(8,))
        return ok("the session went on after SIGTERM, and the container exited when it had ended")
    return _cut(end)


def _cut(end: End) -> Outcome:
    if end.code == 1001 and end.reason:
        return non_strict(
            f"SIGTERM closed the session at once: {end.how}",
            expected="sessions may go on for most of the 30 s",
        )
    return failed(f"SIGTERM cut the session at once: {end.how}", expected=_EXPECTED, defects=(8,))


async def _exit_of(pid: int) -> None:
    """Wait until a process is gone, this one's child or not."""
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(pid)
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return
    while True:  # systems without pidfd
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.2)
