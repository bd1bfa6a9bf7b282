"""How sessions end, and that none leaves anything behind (E1, E3, F1)."""

from __future__ import annotations

import asyncio
import time

from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import (
    Outcome,
    Unmet,
    failed,
    informational,
    non_strict,
    ok,
)
from sagemaker_bidi_contract.wire.received import End

_CLOSE_SECONDS = 5.0
_PROMPT_SECONDS = 2.0
_ABRUPT = 5


@CONTAINER.check(
    "container.close-answered", "Close 1000 is answered with a Close", clauses=("E3", "E1")
)
async def close_answered(stage: ContainerStage) -> Outcome:
    expected = "a Close frame with 1000 within 2 s"
    async with stage.session() as session:
        started = time.perf_counter()
        await session.close(1000)
        end, _ = await session.ended(_CLOSE_SECONDS, "the answer to Close 1000")
        seconds = time.perf_counter() - started
    summary = f"{end.how} after {milliseconds(seconds)}"
    if end.abnormal:
        return failed(summary, expected=expected, advice="answer a Close frame before TCP ends")
    if seconds > _PROMPT_SECONDS:
        return non_strict(summary, expected=expected)
    if end.code != 1000:
        return non_strict(summary, expected=expected, advice="echo the code (RFC 6455, 5.5.1)")
    return ok(summary)


@CONTAINER.check(
    "container.tail-after-close",
    "What the container still sends after SageMaker's Close",
    clauses=("E3",),
)
async def tail_after_close(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        await session.text(stage.options.message)
        await session.close(1000)
        end, frames = await session.ended(_CLOSE_SECONDS, "the answer to Close 1000")
    if end.abnormal:
        return failed(
            f"after a message and Close 1000: {end.how}", expected="a Close frame in answer"
        )
    return informational(
        f"{len(frames)} data frame(s) came between our Close and its answer; a client of SageMaker "
        "sees none of them"
    )


@CONTAINER.check(
    "container.session-after-close", "A closed session makes room for the next", clauses=("E3",)
)
async def session_after_close(stage: ContainerStage) -> Outcome:
    for _ in range(3):
        async with stage.session() as session:
            await session.pong(b"one of several", _CLOSE_SECONDS)
            await session.close(1000)
            await session.ended(_CLOSE_SECONDS, "the answer to Close 1000")
    return ok("three sessions, one after the other")


@CONTAINER.check(
    "container.abrupt-disconnect",
    "Connections that are lost leave nothing behind",
    clauses=("E3", "K4"),
)
async def abrupt_disconnect(stage: ContainerStage) -> Outcome:
    before = await stage.get("/ping")
    for _ in range(_ABRUPT):
        answer = await stage.accepted()
        assert answer.stream is not None
        await answer.stream.text(stage.options.message)
        answer.stream.reset()
    try:
        async with stage.session() as session:
            await session.pong(b"after resets", _CLOSE_SECONDS)
    except Unmet as wrong:
        return failed(
            f"after {_ABRUPT} sessions whose TCP was reset: {wrong.summary}",
            expected="a new session",
            advice="end the session's work when its connection is lost, with no Close frame too",
        )
    page = await stage.get("/ping")
    if page.status != 200 == before.status:
        return failed(
            f"after {_ABRUPT} sessions whose TCP was reset, GET /ping: {page.how}",
            expected="HTTP 200: lost connections do not make a container unhealthy",
        )
    return ok(f"{_ABRUPT} connections reset; a new session and /ping work as before")


@CONTAINER.check(
    "container.two-sessions",
    "Two sessions at once do not mix",
    clauses=("F1",),
    requires=("echo",),
)
async def two_sessions(stage: ContainerStage) -> Outcome:
    async with stage.session() as one, stage.session() as two:
        wanted = [f"{stage.options.message} for session {number}" for number in (1, 2)]
        for _ in range(10):
            await asyncio.gather(one.text(wanted[0]), two.text(wanted[1]))
        for session, text in ((one, wanted[0]), (two, wanted[1])):
            for _ in range(10):
                got = await session.message(5, "the session's own message")
                if isinstance(got, End) or got.data != text.encode():
                    how = got.how if isinstance(got, End) else "a message of the other session"
                    return failed(f"{session.who} got {how}", expected="its own messages alone")
    return ok("ten messages each, sent at the same time, came back to their own session")
