"""A bridge at work: every message passes whole, as what it is, in both directions (F1, F2, K5)."""

from __future__ import annotations

import asyncio
from typing import Literal

from websockets.frames import Opcode

from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.bridge_opening import NEEDS_BACKEND
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.verdicts import Outcome, failed, non_strict, ok, skipped
from sagemaker_bidi_contract.wire.received import End, Message
from sagemaker_bidi_contract.wire.stream import FrameStream

_MIB = 2**20
_SECONDS = 10.0
_KEEPALIVE_SECONDS = 45.0
_MARK = Message("text", b"after it")

# RFC 6455, 7.4.1: data that is not what its type says, or of a type that is not taken.
_NOT_TEXT = (1007, 1003)

type Kind = Literal["text", "binary"]
_OPCODES: dict[str, Opcode] = {"text": Opcode.TEXT, "binary": Opcode.BINARY}


@CONTAINER.check(
    "bridge.empty-messages",
    "Empty messages pass in both directions",
    clauses=("F1",),
    requires=NEEDS_BACKEND,
)
async def empty_messages(stage: ContainerStage) -> Outcome:
    lost: list[str] = []
    for kind in ("text", "binary"):
        stage.backend.behaviour.serve = None
        async with stage.session() as session:
            backend = await stage.backend.connection()
            for sender, receiver, way in (
                (session, backend, "to the model server"),
                (backend, session, "to SageMaker"),
            ):
                await sender.send(_OPCODES[kind])
                await sender.text(_MARK.data.decode())
                got = await receiver.message(_SECONDS, "an empty message, or the one after it")
                if got == _MARK:
                    lost.append(f"{kind} {way}")
                elif isinstance(got, End):
                    return _ended(f"an empty {kind} message {way}", got)
                elif got.data:
                    return failed(
                        f"an empty {kind} message {way} became {len(got.data)} bytes",
                        expected="an empty message",
                    )
                else:
                    await receiver.message(_SECONDS, "the message after the empty one")
    if lost:
        return failed(
            f"empty messages were dropped: {', '.join(lost)}",
            expected="one frame for each part, the empty ones too",
            defects=(7,),
        )
    return ok("empty text and binary messages passed in both directions")


@CONTAINER.check(
    "bridge.message-kinds",
    "Messages keep their bytes and, towards the client, their kind",
    clauses=("F2", "F1"),
    requires=NEEDS_BACKEND,
)
async def message_kinds(stage: ContainerStage) -> Outcome:
    text = Message("text", "ü € 🎤".encode())
    # A client that sets no DataType sends its JSON as binary. The reference bridge reads it as
    # text, which a model server that takes JSON wants.
    json = Message("binary", '{"type":"ü"}'.encode())
    other = Message("binary", bytes(range(256)))
    stage.backend.behaviour.serve = None
    async with stage.session() as session:
        backend = await stage.backend.connection()
        ways = (
            (session, backend, "to the model server", (text, json)),
            (backend, session, "to SageMaker", (text, other)),
        )
        for sender, receiver, way, messages in ways:
            for message in messages:
                await sender.send(_OPCODES[message.kind], message.data)
                got = await receiver.message(_SECONDS, f"a {message.kind} message {way}")
                if isinstance(got, End):
                    return _ended(f"a {message.kind} message {way}", got)
                if got.data != message.data:
                    return _other_bytes(message, way)
                if got.kind != message.kind and message is not json:
                    return non_strict(
                        f"a {message.kind} message {way} arrived as {got.kind}",
                        expected=f"{message.kind}",
                    )
        await session.send(Opcode.BINARY, other.data)
        got = await backend.message(_SECONDS, "a binary message that is not UTF-8")
        if isinstance(got, Message) and got.data != other.data:
            return _other_bytes(other, "to the model server")
        if isinstance(got, End) and got.code not in _NOT_TEXT:
            return failed(
                f"a binary message that is not UTF-8: {got.how}",
                expected="it passes as it is, or the session ends with 1007 or 1003",
            )
    return ok("each message kept its bytes and, towards SageMaker, its kind")


def _other_bytes(message: Message, way: str) -> Outcome:
    return failed(
        f"a {message.kind} message {way} arrived with other bytes",
        expected="the same bytes, whether they are read as text or not",
    )


@CONTAINER.check(
    "bridge.message-2-mib",
    "A message of 2 MiB passes in both directions",
    clauses=("K5",),
    requires=NEEDS_BACKEND,
)
async def message_2_mib(stage: ContainerStage) -> Outcome:
    data = b"x" * (2 * _MIB)
    stage.backend.behaviour.serve = None
    async with stage.session() as session:
        backend = await stage.backend.connection()
        for sender, receiver, way in (
            (backend, session, "to SageMaker"),
            (session, backend, "to the model server"),
        ):
            what = f"a message of 2 MiB {way}"
            # The receiver's end is seen while the sender may still be writing.
            sending = asyncio.create_task(sender.send(Opcode.TEXT, data))
            try:
                got = await receiver.message(_SECONDS, what)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            if got != Message("text", data, getattr(got, "frames", 1)):
                came = got.how if isinstance(got, End) else f"{len(got.data):,} bytes came instead"
                return failed(
                    f"{what}: {came} (the model server's connection: {_state(backend)})",
                    expected="the message, whole",
                    defects=(4,) if receiver is session else (),
                )
    return ok("2 MiB in one message passed in both directions")


@CONTAINER.check(
    "bridge.backend-keepalive",
    "A model server that is too busy to answer pings is not cut off",
    clauses=("K1",),
    requires=("fake-backend", "slow"),
    seconds=_KEEPALIVE_SECONDS + 20,
)
async def backend_keepalive(stage: ContainerStage) -> Outcome:
    stage.backend.behaviour.serve = None
    stage.backend.behaviour.answers_pings = False
    async with stage.session() as session:
        backend = await stage.backend.connection()
        ended = await _first_end(session, backend, _KEEPALIVE_SECONDS)
        pings = len(backend.pings)
        if ended is None:
            await backend.text(_MARK.data.decode())
            got = await session.message(_SECONDS, "a message of the backend after its silence")
            if got != _MARK:
                return failed("the session did not work after 45 s of silence", expected="it does")
            return ok(
                f"{pings} pings to the backend went unanswered in 45 s, and the session works"
            )
    return failed(
        f"the backend left {pings} ping(s) unanswered, and was cut off: {ended.how}",
        expected="a session that waits for a busy model",
        defects=(4,),
    )


@CONTAINER.check(
    "bridge.no-compression",
    "Nothing is compressed on the way",
    clauses=("F1",),
    requires=NEEDS_BACKEND,
)
async def no_compression(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        await session.text("ping")
        await session.message(_SECONDS, "the echo")
    offered = stage.backend.offered
    if offered is None:
        return skipped("the container opened no connection to the backend")
    if offered:
        return non_strict(
            f"the container offers the model server {offered}",
            expected="no extension: audio in base64 costs time to compress, inside one machine",
        )
    return ok("no extension is offered to the model server")


async def _first_end(one: FrameStream, other: FrameStream, within: float) -> End | None:
    waiting = [asyncio.create_task(stream.over.wait()) for stream in (one, other)]
    try:
        await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return other.end or one.end


def _ended(what: str, end: End) -> Outcome:
    return failed(f"{what}: {end.how}", expected="it passes, and the session goes on")


def _state(backend: FrameStream) -> str:
    return "open" if backend.end is None else backend.end.how
