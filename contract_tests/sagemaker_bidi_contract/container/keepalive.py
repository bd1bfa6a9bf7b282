"""SageMaker's pings, and the container's own (K1, F5)."""

from __future__ import annotations

import contextlib
import time

from websockets.frames import Frame, Opcode

from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, informational, ok
from sagemaker_bidi_contract.wire.received import End
from sagemaker_bidi_contract.wire.stream import FrameStream

_PONG_SECONDS = 5.0
_ROW = 5
_BUSY = 100
_WATCH_SECONDS = 1.5
_SLOW_WATCH_SECONDS = 45.0


@CONTAINER.check(
    "container.pong", "A ping is answered with a pong of the same payload", clauses=("K1",)
)
async def pong(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        times = [await session.pong(data, _PONG_SECONDS) for data in (b"\0\0\0\1", b"", b"p" * 125)]
    return ok("pongs after " + ", ".join(milliseconds(seconds) for seconds in times))


@CONTAINER.check("container.pongs-in-a-row", "Several pings in a row are answered", clauses=("K1",))
async def pongs_in_a_row(stage: ContainerStage) -> Outcome:
    payloads = [bytes([number]) * 4 for number in range(_ROW)]
    async with stage.session() as session:
        await session.send_many([Frame(Opcode.PING, payload) for payload in payloads])
        # RFC 6455, 5.5.3: the latest alone may be answered.
        await session.pong_of(payloads[-1], _PONG_SECONDS)
    return ok(f"the last of {_ROW} pings sent at once was answered")


@CONTAINER.check(
    "container.pong-while-busy", "Pings are answered while messages come in", clauses=("K1",)
)
async def pong_while_busy(stage: ContainerStage) -> Outcome:
    message = Frame(Opcode.TEXT, stage.options.message.encode())
    async with stage.session() as session:
        await session.send_many([message] * _BUSY)
        seconds = await session.pong(b"busy", _PONG_SECONDS)
    return ok(f"after {_BUSY} messages sent at once the pong came after {milliseconds(seconds)}")


@CONTAINER.check(
    "container.own-pings",
    "Whether the container pings SageMaker",
    clauses=("F5",),
    seconds=_SLOW_WATCH_SECONDS + 20,
)
async def own_pings(stage: ContainerStage) -> Outcome:
    watch = _SLOW_WATCH_SECONDS if stage.options.slow else _WATCH_SECONDS
    async with stage.session() as session:
        await _watch(session, watch)
        # A pong in time shows that the container took ours for its own pings.
        await session.pong(b"after watching", _PONG_SECONDS)
        pings = list(session.pings)
    if not pings:
        longer = "" if stage.options.slow else "; --slow watches for longer"
        return informational(f"no ping of its own within {watch:g} s{longer}")
    if len(pings) == 1:
        return informational(f"one ping within {watch:g} s, answered")
    every = (pings[-1] - pings[0]) / (len(pings) - 1)
    return informational(f"a ping every {milliseconds(every)}, {len(pings)} answered")


async def _watch(session: FrameStream, seconds: float) -> None:
    """Let time pass, and read all of it: a pong waits behind output that nobody takes.

    An end in between is found by the ping that follows.
    """
    until = time.perf_counter() + seconds
    with contextlib.suppress(Unmet):
        while not isinstance(await session.receive(until - time.perf_counter(), "an end"), End):
            pass
