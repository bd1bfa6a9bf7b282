"""A container that speaks vLLM's Realtime API: its events, their order and its edges.

The clause is F1 throughout: what the client sends reaches the model as it is, and its answers come
back; what the answers say is vLLM's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sagemaker_bidi_client.realtime import (
    Delta,
    Done,
    ErrorEvent,
    RealtimeError,
    ServerEvent,
    SessionCreated,
    append,
    commit,
    parse,
    session_update,
)
from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.sound import sound
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
from sagemaker_bidi_contract.wire.stream import FrameStream

NEEDS_REALTIME = ("vllm-realtime",)
_ANSWER_SECONDS = 5.0
_DONE_SECONDS = 60.0
_CHUNK_BYTES = 3_200  # 100 ms of PCM16 at 16 kHz


async def event(session: FrameStream, within: float, what: str) -> ServerEvent:
    """The next event of the model.

    Raises:
        Unmet: none in time, the end of the session, or a message that is no event.
    """
    match await session.message(within, what):
        case End(how=how):
            raise Unmet(f"the session ended: {how}", what)
        case got:
            pass
    if got.kind != "text":
        raise Unmet(f"a binary message of {len(got.data)} bytes came", what)
    try:
        return parse(got.data)
    except RealtimeError as error:
        raise Unmet(f"a message came that is no event: {error}", what) from error


async def greeted(session: FrameStream) -> SessionCreated:
    """The `session.created` that comes first.

    Raises:
        Unmet: something else came, or nothing.
    """
    what = "session.created right after the upgrade"
    match await event(session, _ANSWER_SECONDS, what):
        case SessionCreated() as created:
            return created
        case other:
            raise Unmet(f"{_name(other)} came first", what)


@CONTAINER.check(
    "realtime.session-created",
    "session.created comes right after the upgrade",
    clauses=("F1",),
    requires=NEEDS_REALTIME,
)
async def session_created(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        created = await greeted(session)
    if not created.id.startswith("sess-"):
        return non_strict(f"the session's id is {created.id!r}", expected="sess-…, as vLLM has it")
    return ok("session.created with an id came first")


@dataclass(frozen=True, slots=True)
class Edge:
    """Something that vLLM answers with an error: the messages, and the codes of its releases."""

    name: str
    messages: tuple[str, ...]
    codes: tuple[str, ...]
    words: str = ""


def _raw(**fields: object) -> str:
    return json.dumps(fields)


_UPDATED = session_update("")
EDGES = (
    Edge("not-json", ("{not json",), ("invalid_json",)),
    Edge("unknown-type", (_raw(type="contract.check"),), ("unknown_event",)),
    Edge("no-object", ("[1, 2]",), ("processing_error",)),
    Edge("commit-before-update", (commit(),), ("model_not_validated",)),
    Edge(
        "update-without-model",
        (_raw(type="session.update"),),
        ("invalid_event", "processing_error"),
        "model",
    ),
    Edge(
        "append-bad-base64",
        (_UPDATED, _raw(type="input_audio_buffer.append", audio="A")),
        ("invalid_audio",),
    ),
    Edge(
        "append-empty",
        (_UPDATED, _raw(type="input_audio_buffer.append", audio="")),
        ("invalid_audio",),
    ),
    Edge(
        "append-half-a-sample",
        (_UPDATED, _raw(type="input_audio_buffer.append", audio="AAAA")),
        ("invalid_audio",),
    ),
)


def _register(edge: Edge) -> None:
    codes = " or ".join(edge.codes)

    async def check(stage: ContainerStage) -> Outcome:
        async with stage.session() as session:
            await greeted(session)
            for message in edge.messages:
                await session.text(message)
            got = await event(session, _ANSWER_SECONDS, f"an error event with the code {codes}")
            await session.pong(b"after the error", _ANSWER_SECONDS)
        if not isinstance(got, ErrorEvent):
            return failed(f"{_name(got)} came", expected=f"an error event with the code {codes}")
        if got.code not in edge.codes:
            return non_strict(f"the error's code is {got.code!r}", expected=codes)
        if edge.words not in got.message:
            return non_strict(
                f"the error {got.code} does not name {edge.words!r}", expected=f"{edge.words!r}"
            )
        return ok(f"error {got.code}, and the session stays open")

    title = f"{edge.name.replace('-', ' ')}: the error {codes}, and the session stays open"
    CONTAINER.check(f"realtime.{edge.name}", title, clauses=("F1",), requires=NEEDS_REALTIME)(check)


for _edge in EDGES:
    _register(_edge)


@CONTAINER.check(
    "realtime.unknown-model",
    "What a model that is not served is answered with",
    clauses=("F1",),
    requires=NEEDS_REALTIME,
)
async def unknown_model(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        await greeted(session)
        await session.text(session_update("contract/no-such-model"))
        # An answer to the second message shows that the first had none.
        await session.text(_raw(type="contract.check"))
        got = await event(session, _ANSWER_SECONDS, "an error event")
    match got:
        case ErrorEvent(code="model_not_found"):
            return informational("model_not_found, as newer releases of vLLM have it")
        case ErrorEvent(code="unknown_event"):
            return informational("ignored, as older releases of vLLM have it")
        case ErrorEvent(code=code):
            return non_strict(f"error {code}", expected="model_not_found, or nothing")
    return failed(f"{_name(got)} came", expected="an error event")


@CONTAINER.check(
    "realtime.utterance",
    "An utterance brings deltas, and a done that is all of them",
    clauses=("F1",),
    requires=NEEDS_REALTIME,
    seconds=2 * _DONE_SECONDS,
)
async def utterance(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        await greeted(session)
        await session.text(session_update(stage.options.model))
        return await _utterance(stage, session)


@CONTAINER.check(
    "realtime.second-utterance",
    "A second utterance works on the same session",
    clauses=("F1",),
    requires=NEEDS_REALTIME,
    seconds=3 * _DONE_SECONDS,
)
async def second_utterance(stage: ContainerStage) -> Outcome:
    async with stage.session() as session:
        await greeted(session)
        await session.text(session_update(stage.options.model))
        first = await _utterance(stage, session)
        if first.expected:
            return first
        return await _utterance(stage, session)


async def _utterance(stage: ContainerStage, session: FrameStream) -> Outcome:
    pcm = sound(stage.options.audio)
    chunks = [pcm[at : at + _CHUNK_BYTES] for at in range(0, len(pcm), _CHUNK_BYTES)]
    await session.text(commit())
    for chunk in chunks:
        await session.text(append(chunk))
    await session.text(commit(final=True))
    deltas: list[str] = []
    while True:
        match await event(session, _DONE_SECONDS, "transcription.done"):
            case Delta(text):
                deltas.append(text)
            case Done(text, usage):
                break
            case ErrorEvent(code=code):
                return failed(
                    f"the error {code} came in place of a transcript",
                    expected="transcription.delta … and transcription.done",
                    advice="give the served model's name with --model" if code else "",
                )
            case other:
                return non_strict(f"{_name(other)} came", expected="deltas and a done")
    seconds = len(pcm) / 32_000
    heard = f"{len(deltas)} deltas and a done for {milliseconds(seconds)} of audio"
    if text != "".join(deltas):
        return failed(
            f"{heard}; the done's text is not the deltas joined", expected="all deltas joined"
        )
    if usage is None:
        return non_strict(f"{heard}, without usage", expected="usage with its three counts")
    if usage.total_tokens != usage.prompt_tokens + usage.completion_tokens:
        return failed(f"{heard}; usage does not add up: {usage}", expected="a total that does")
    if not deltas:
        return non_strict(heard, expected="a delta for each 80 ms, empty ones included")
    return ok(f"{heard}, usage {usage.prompt_tokens} + {usage.completion_tokens} tokens")


def _name(received: ServerEvent) -> str:
    match received:
        case ErrorEvent(code=code):
            return f"the error {code}"
        case other:
            return f"the event {type(other).__name__}"
