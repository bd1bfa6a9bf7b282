"""SIGTERM, 30 s before SIGKILL (K4). It ends the container, so it is the last check."""

from __future__ import annotations

import asyncio
import contextlib
import time

from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, non_strict, ok
from sagemaker_bidi_contract.wire.received import End
from sagemaker_bidi_contract.wire.stream import FrameStream

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
    process = stage.process
    async with stage.session() as session:
        await session.text(stage.options.message)
        await session.pong(b"before SIGTERM", 5)
        try:
            process.terminate()
        except ProcessLookupError:
            return failed(
                f"process {process.pid} had ended before it was sent SIGTERM",
                expected="a process that lives as long as its container serves",
                advice="give --pid the process that listens, not one that started it",
            )
        stage.log.add("container", "sent", f"SIGTERM to process {process.pid}")
        started = time.perf_counter()
        exited = asyncio.create_task(process.gone())
        try:
            verdict = await _session_after(session, stage.options.message)
            await session.close(1000)
            with contextlib.suppress(Unmet):
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
    except Unmet:
        try:
            await session.text(message)
            await session.pong(b"after SIGTERM", 5)
        except Unmet as wrong:
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
