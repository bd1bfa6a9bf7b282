"""Text, binary, empty, invalid and large messages (F1, F2, F6, K5)."""

from __future__ import annotations

from websockets.frames import Frame, Opcode

from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.container.survival import survives
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, non_strict, ok
from sagemaker_bidi_contract.wire.received import End, Message

_MIB = 2**20
_MANY = 200
_LARGE_SECONDS = 10.0


@CONTAINER.check("container.text-frame", "A text frame is taken", clauses=("F1", "F2"))
async def text_frame(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        frame = Frame(Opcode.TEXT, stage.options.message.encode())
        return await survives(
            session,
            [frame],
            "a text frame",
            strict=False,
            advice="give a message that the container understands with --message",
        )


@CONTAINER.check(
    "container.binary-frame", "A binary frame does not kill the session", clauses=("F6", "F2", "E6")
)
async def binary_frame(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        return await survives(
            session,
            [Frame(Opcode.BINARY, stage.options.message.encode())],
            "a binary frame",
            strict=False,
            advice="clients that send no DataType make binary frames of their text: read both "
            "kinds, or close with 1003 and a reason",
        )


@CONTAINER.check("container.empty-frames", "Empty frames are tolerated", clauses=("F1",))
async def empty_frames(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        return await survives(
            session, [Frame(Opcode.TEXT, b"")] * 2, "two empty text frames", strict=False
        )


@CONTAINER.check(
    "container.invalid-utf8",
    "Invalid UTF-8 in a text frame is closed with 1007, or taken",
    clauses=("F1",),
)
async def invalid_utf8(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        return await survives(
            session,
            [Frame(Opcode.TEXT, b"\xff\xfe not UTF-8")],
            "invalid UTF-8 in a text frame",
            allowed=(1007,),
            strict=False,
            may_drop=True,
            advice="SageMaker passes bytes on unread, so this can come; close with 1007 (RFC 6455, "
            "8.1)",
        )


@CONTAINER.check(
    "container.echo",
    "Messages come back as they were sent",
    clauses=("F1", "F2"),
    requires=("echo",),
)
async def echoes(stage: ContainerStage) -> Outcome:
    sent = [f"{stage.options.message} {number} ü €" for number in range(_MANY)]
    async with stage.session() as session:
        for text in sent:
            await session.text(text)
        for number, text in enumerate(sent):
            got = await session.message(5, f"message {number + 1} of {_MANY}")
            if got != (wanted := Message("text", text.encode())):
                return failed(
                    f"message {number + 1} of {_MANY} came back as {_shown(got)}",
                    expected=f"{_shown(wanted)}: each message once, in order",
                )
    return ok(f"{_MANY} text messages came back, each in one frame, in order")


@CONTAINER.check("container.message-1-mib", "A message of 1 MiB is taken", clauses=("K5",))
async def message_1_mib(stage: ContainerStage) -> Outcome:
    return await _large(stage, 1)


@CONTAINER.check("container.message-5-mib", "A message of 5 MiB is taken", clauses=("K5",))
async def message_5_mib(stage: ContainerStage) -> Outcome:
    return await _large(stage, 5)


async def _large(stage: ContainerStage, size: int) -> Outcome:
    """SageMaker's own limit is unpublished (K5), so a container's smaller one breaks no rule."""
    data = b"x" * (size * _MIB)
    what = f"a text message of {size} MiB"
    echoed = await stage.missing("echo") is None
    async with stage.session() as session:
        await session.send(Opcode.TEXT, data)
        if echoed:
            try:
                got = await session.message(_LARGE_SECONDS, "the message itself")
            except Unmet as wrong:
                return _refused(stage, what, session.end, wrong)
            if isinstance(got, Message) and got.data != data:
                came = f"{what} was answered with {_shown(got)}"
                return failed(came, expected="the message itself, whole")
        try:
            seconds = await session.pong(b"after a large message", _LARGE_SECONDS)
        except Unmet as wrong:
            return _refused(stage, what, session.end, wrong)
    done = "came back whole" if echoed else "taken"
    return ok(f"{what}: {done}, and the next ping answered after {milliseconds(seconds)}")


def _refused(stage: ContainerStage, what: str, end: End | None, wrong: Unmet) -> Outcome:
    expected = "it is taken, or closed with 1009"
    advice = (
        "raise the limit of what refused it: the container's server (ws_max_size in uvicorn, "
        "max_size in websockets), or its client towards a model server (max_size in websockets is "
        "1 MiB unless set)"
    )
    if stage.plays_backend and any(over.code == 1009 for over in stage.backend.ends):
        return non_strict(
            f"{what} reached the model server; its echo was refused with Close 1009 by the "
            "container's own client",
            expected="it is taken",
            advice="raise the limit of the container's client towards the model server, such as "
            "max_size of websockets' connect(), 1 MiB unless set",
        )
    match end:
        case End(code=1009, how=how):
            return non_strict(f"{what}: {how}", expected="it is taken", advice=advice)
        case End(how=how):
            return failed(f"{what}: {how}", expected=expected, advice=advice)
        case None:
            return failed(f"{what}: {wrong.summary}", expected=expected, advice=advice)


def _shown(got: Message | End) -> str:
    if isinstance(got, End):
        return got.how
    frames = f" in {got.frames} frames" if got.frames > 1 else ""
    return f"{got.kind} of {len(got.data):,} bytes{frames}"
