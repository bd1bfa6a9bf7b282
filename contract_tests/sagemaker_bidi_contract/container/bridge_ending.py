"""A bridge whose model server ends, dies or is left in mid-stream (E1, E2, E3, E6)."""

from __future__ import annotations

import asyncio

from websockets.frames import Frame, Opcode

from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.bridge_opening import NEEDS_BACKEND
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, non_strict, ok
from sagemaker_bidi_contract.wire.received import End, Message
from sagemaker_bidi_contract.wire.stream import FrameStream

_SECONDS = 8.0
_TAIL = 12
_TAIL_BYTES = 2**20 - 1_024
_RECEIVE_BUFFER = 4_096
_HEAD = 200
_NOT_1000 = "a Close frame with a code other than 1000: the client takes 1000 for a complete answer"


@CONTAINER.check(
    "bridge.backend-dies",
    "A model server that dies in mid-stream is a failure for the client",
    clauses=("E1", "E6"),
    requires=NEEDS_BACKEND,
)
async def backend_dies(stage: ContainerStage) -> Outcome:
    stage.backend.behaviour.serve = None
    async with stage.session() as session:
        backend = await stage.backend.connection()
        await session.text("work")
        await backend.message(_SECONDS, "the client's message")
        await backend.text("half an answer")
        await session.message(_SECONDS, "the model's message")
        backend.reset()
        end, _ = await session.ended(_SECONDS, "the end of the session")
    what = "the backend's TCP was reset in mid-stream"
    if end.code in (1000, 1005):
        return failed(f"{what}: {end.how}", expected=_NOT_1000, defects=(2,))
    if end.abnormal:
        return non_strict(
            f"{what}: {end.how}",
            expected="a Close frame with 1011 and a reason",
            advice="send Close 1011 with a reason: the client gets it as a ModelStreamError (E1)",
        )
    return ok(f"{what}: {end.how}")


@CONTAINER.check(
    "bridge.backend-close",
    "The model server's Close code and reason reach SageMaker",
    clauses=("E1", "E2"),
    requires=NEEDS_BACKEND,
)
async def backend_close(stage: ContainerStage) -> Outcome:
    found: list[tuple[int, End]] = []
    for code, reason in ((1000, ""), (1011, "engine died"), (1012, "service restart")):
        stage.backend.behaviour.serve = None
        async with stage.session() as session:
            backend = await stage.backend.connection()
            await backend.close(code, reason)
            end, _ = await session.ended(_SECONDS, "the end of the session")
            found.append((code, end))
    shown = "; ".join(f"{code} became {end.how}" for code, end in found)
    normal, *failures = found
    if any(end.code in (1000, 1005) for _, end in failures):
        return failed(shown, expected=_NOT_1000, defects=(2,))
    if normal[1].code != 1000:
        return failed(shown, expected="Close 1000 for a model server that closes with 1000")
    if any(end.code != code or not end.reason for code, end in failures):
        return non_strict(shown, expected="the same code and reason, which the client gets (E1)")
    return ok(shown)


@CONTAINER.check(
    "bridge.tail",
    "All that the model server sent before its Close is delivered",
    clauses=("E2", "F1"),
    requires=NEEDS_BACKEND,
    seconds=40,
)
async def tail(stage: ContainerStage) -> Outcome:
    stage.backend.behaviour.serve = None
    # A reader that is slow and more than the sockets hold: the tail waits inside the bridge while
    # the model server has ended and the client still sends.
    async with stage.session(receive_buffer=_RECEIVE_BUFFER) as session:
        session.hold()
        backend = await stage.backend.connection()
        frames = [Frame(Opcode.TEXT, bytes([97 + n]) * _TAIL_BYTES) for n in range(_TAIL)]
        sending = asyncio.create_task(_send_and_close(backend, frames))
        # All of it fits into a bridge that reads ahead; one that does not waits for us.
        await asyncio.wait([sending], timeout=2)
        for _ in range(3):
            await session.text("audio that comes after the model's end")
            await asyncio.sleep(0.05)
        session.release()
        whole = 0
        try:
            while isinstance(got := await session.message(20, "the tail and the Close"), Message):
                whole += len(got.data) == _TAIL_BYTES
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    summary = f"{whole} of {_TAIL} messages arrived, and then: {got.how}"
    if whole < _TAIL:
        return failed(
            summary,
            expected=f"{_TAIL} messages and Close 1000: all that the model server sent",
            defects=(5,),
        )
    return ok(summary)


@CONTAINER.check(
    "bridge.head",
    "All that the client sent before its Close reaches the model server",
    clauses=("F1", "E3"),
    requires=NEEDS_BACKEND,
)
async def head(stage: ContainerStage) -> Outcome:
    stage.backend.behaviour.serve = None
    async with stage.session() as session:
        backend = await stage.backend.connection()
        await session.send_many([Frame(Opcode.TEXT, b"%d" % n) for n in range(_HEAD)])
        await session.close(1000)
        end, got = await backend.ended(_SECONDS, "the end of the backend's connection")
    summary = f"{len(got)} of {_HEAD} messages arrived, and then: {end.how}"
    if [bytes(frame.data) for frame in got] != [b"%d" % n for n in range(_HEAD)]:
        return failed(summary, expected="all of them, in order, and then a Close", defects=(5,))
    if end.abnormal:
        return non_strict(summary, expected="a Close frame for the model server, too")
    return ok(summary)


@CONTAINER.check(
    "bridge.client-gone",
    "A client that is gone ends the model server's work",
    clauses=("E3",),
    requires=NEEDS_BACKEND,
)
async def client_gone(stage: ContainerStage) -> Outcome:
    ends: list[str] = []
    for way in ("Close 1000", "a TCP reset"):
        stage.backend.behaviour.serve = None
        async with stage.session() as session:
            backend = await stage.backend.connection()
            await backend.pong(b"up", _SECONDS)
            if way == "Close 1000":
                await session.close(1000)
            else:
                session.reset()
            try:
                end, _ = await backend.ended(_SECONDS, "the end of the backend's connection")
            except Unmet:
                return failed(
                    f"after {way} by the client the model server's connection stayed open for "
                    f"{milliseconds(_SECONDS)}",
                    expected="it is closed: the model would go on working for nobody",
                )
            ends.append(f"{way}: {end.how}")
    return ok("the model server's connection ended after " + ", after ".join(ends))


async def _send_and_close(backend: FrameStream, frames: list[Frame]) -> None:
    await backend.send_many(frames)
    await backend.close(1000, "done")
