"""Fragmented messages, as PARTIAL parts make them (F3)."""

from __future__ import annotations

from websockets.frames import Frame, Opcode

from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.container.survival import Alive, aftermath
from sagemaker_bidi_contract.verdicts import Outcome, failed, ok
from sagemaker_bidi_contract.wire.received import End, Message
from sagemaker_bidi_contract.wire.stream import FrameStream

_ADVICE = "a client's PARTIAL parts arrive as fragments (RFC 6455, 5.4): read messages, not frames"


@CONTAINER.check(
    "container.fragmented-text", "A fragmented text message is taken", clauses=("F3", "F4")
)
async def fragmented_text(stage: ContainerStage) -> Outcome:
    text = stage.options.message.encode()
    third = max(len(text) // 3, 1)
    return await _sent(stage, [text[:third], text[third : 2 * third], text[2 * third :]])


@CONTAINER.check(
    "container.fragments-empty-ends",
    "The first and the last fragment may be empty",
    clauses=("F3",),
)
async def fragments_with_empty_ends(stage: ContainerStage) -> Outcome:
    return await _sent(stage, [b"", stage.options.message.encode(), b""])


@CONTAINER.check(
    "container.fragments-split-character",
    "A character may be split between fragments",
    clauses=("F3", "F1"),
)
async def fragments_that_split_a_character(stage: ContainerStage) -> Outcome:
    # A space and a character of four bytes keep a JSON message what it was, inside its last brace.
    text = stage.options.message
    data = f'{text[:-1]}, "x": "🎤"}}' if text.endswith("}") else f"{text} 🎤"
    raw = data.encode()
    cut = raw.index("🎤".encode()) + 2
    return await _sent(stage, [raw[:cut], raw[cut:]])


@CONTAINER.check(
    "container.ping-between-fragments",
    "A ping between fragments is answered, and the message goes on",
    clauses=("K1", "F3"),
)
async def ping_between_fragments(stage: ContainerStage) -> Outcome:
    text = stage.options.message.encode()
    half = len(text) // 2
    echoed = await stage.missing("echo") is None
    async with stage.session() as session:
        await session.send(Opcode.TEXT, text[:half], fin=False)
        await session.pong(b"between fragments", 5)
        await session.send(Opcode.CONT, text[half:])
        return await _judge(session, text, echoed, "two fragments with a ping between them")


async def _sent(stage: ContainerStage, parts: list[bytes]) -> Outcome:
    frames = [
        Frame(Opcode.CONT if number else Opcode.TEXT, part, number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]
    sizes = ", ".join(str(len(part)) for part in parts)
    echoed = await stage.missing("echo") is None
    async with stage.session() as session:
        await session.send_many(frames)
        return await _judge(session, b"".join(parts), echoed, f"fragments of {sizes} bytes")


async def _judge(session: FrameStream, whole: bytes, echoed: bool, what: str) -> Outcome:
    """A container that echoes sends the whole message back, in as many frames as it likes."""
    if echoed:
        got = await session.message(5, "the whole message")
        if isinstance(got, Message):
            if got != Message("text", whole, got.frames):
                return failed(
                    f"{what} came back as {got.kind} of {len(got.data)} bytes",
                    expected=f"text of {len(whole)} bytes: one message",
                    advice=_ADVICE,
                )
            what = f"{what}: echoed as one message, in {got.frames} frame(s)"
    match await aftermath(session):
        case Alive():
            done = "" if echoed else ": taken"
            return ok(f"{what}{done}, and the next ping answered")
        case End(how=how):
            return failed(f"{what}: {how}", expected="one message", advice=_ADVICE)
        case None:
            return failed(f"{what}: no pong, and no end", expected="one message", advice=_ADVICE)
