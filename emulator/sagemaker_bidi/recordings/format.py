"""What a recording holds: one header, then events; each is one line of JSON.

`python -m sagemaker_bidi.recordings.schema` makes `schema.json` beside this file of them.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import ConfigDict, Field

VERSION = 1

type Origin = Literal["real service", "real engine", "stand-in", "scripted", "unknown"]
type Sender = Literal["client", "container", "emulator"]
PROVENANCES: tuple[Origin, ...] = get_args(Origin.__value__)

_MESSAGE_TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
# Numbers of a stranger's file: a replay sleeps by them.
_LONGEST = 24 * 60 * 60 * 1000  # ms
_Milliseconds = Annotated[float, Field(ge=0, le=_LONGEST)]
# What is put behind a target's address: `@host/` would lead to another host.
_CONTAINER_PATH = re.compile(r"(?:/(?![/\\])[!-\[\]-~]*)?")
_EVENT_ORDER = ("ms", "sender", "layer", "type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line: what was recorded, and how.

    Args:
        recording: the format's version.
        provenance: what answered: SageMaker itself, a real vLLM engine, a stand-in for one, a
            script, or something that nobody told of.
        target: its address.
        endpoint, variant: who was invoked.
        path: path and query of the container's WebSocket (O2).
        sdk: what the client said it was.
        container, vllm, hardware: what answered, where it is known.
        recorded: when, UTC.
        session: the request id.
        time_scale: milliseconds of the recording for one of the wall's.
        redacted: what was left out: `payloads`, and with them the texts of errors and Close frames
            and what pings carry; `query`.
        made_with: what wrote it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    recording: Literal[1] = 1
    provenance: Origin
    target: str = ""
    endpoint: str = ""
    variant: str = ""
    path: str = ""
    sdk: str = ""
    container: str = ""
    vllm: str = ""
    hardware: str = ""
    recorded: str = ""
    session: str = ""
    time_scale: Annotated[float, Field(ge=0.001, le=1_000_000)] = 1.0
    redacted: tuple[str, ...] = ()
    made_with: str = ""

    def __post_init__(self) -> None:
        if not _CONTAINER_PATH.fullmatch(self.path):
            raise ValueError(
                "path has to be empty, or to begin with one slash and hold no space, no backslash "
                "and nothing beyond ASCII: /invocations-bidirectional-stream?lang=fr"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timed:
    """What every event has.

    Args:
        ms: since the stream opened.
        sender: who sent it; `container` is whatever stands behind the emulator.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    ms: _Milliseconds
    sender: Annotated[Sender, Field(alias="from")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carrier(_Timed):
    """An event with a payload: `text`, or `base64`, or, redacted, `size`.

    Args:
        size: in bytes.
        sha256: hexadecimal; of older recordings, and nothing is made of it: the hash of a short
            text is as good as the text.
        message: the `type` of the JSON message that was left out.
    """

    text: str | None = None
    base64: str | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    sha256: str | None = None
    message: str | None = None

    def __post_init__(self) -> None:
        given = [self.text is not None, self.base64 is not None, self.size is not None]
        if sum(given) != 1:
            raise ValueError("give one of text, base64, and size")
        if self.base64 is not None:
            base64.b64decode(self.base64, validate=True)
        if self.size is None and self.sha256 is not None:
            raise ValueError("sha256 goes with size")

    @property
    def payload(self) -> bytes | None:
        """The bytes; None where they were left out."""
        if self.text is not None:
            return self.text.encode()
        return None if self.base64 is None else base64.b64decode(self.base64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How the invocation was answered.

    Args:
        type: `accepted`, or the refusal's name.
        status: HTTP's.
        text: what a refusal says.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    ms: _Milliseconds
    sender: Annotated[Sender, Field(alias="from")]
    layer: Literal["opening"] = "opening"
    type: str
    status: Annotated[int, Field(ge=100, le=599)]
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEvent(_Carrier):
    """A payload part (W3).

    Args:
        type: DataType; None where the client sent none (F2), `RAW` for bytes that are no part.
        state: CompletionState; None where the client sent none.
    """

    layer: Literal["part"] = "part"
    type: Literal["UTF8", "BINARY", "RAW"] | None = None
    state: Literal["PARTIAL", "COMPLETE"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameEvent(_Carrier):
    """A WebSocket data frame (RFC 6455 5.6), of a session that was recorded without SageMaker."""

    layer: Literal["frame"] = "frame"
    type: Literal["TEXT", "BINARY", "CONT"]
    fin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control frame between emulator and container (RFC 6455 5.5).

    Args:
        code: of a Close frame; 1005 and 1006 as RFC 6455 7.4.1 has them.
        text: a Close frame's reason.
        base64: what a ping or a pong carries.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    ms: _Milliseconds
    sender: Annotated[Sender, Field(alias="from")]
    layer: Literal["control"] = "control"
    type: Literal["PING", "PONG", "CLOSE"]
    code: Annotated[int, Field(ge=0, le=65_535)] | None = None
    text: str = ""
    base64: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent:
    """An error inside the stream, as the client was told it (E5).

    Args:
        type: `ModelStreamError`, …; `error` for an unmodelled one.
        code: `ErrorCode`.
        text: `Message`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    ms: _Milliseconds
    sender: Annotated[Sender, Field(alias="from")]
    layer: Literal["error"] = "error"
    type: str
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of the session; `sender` is whose doing it was.

    Args:
        type: `clean`, `error`, or `failed` inside the emulator.
        clause: the rule that was followed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    ms: _Milliseconds
    sender: Annotated[Sender, Field(alias="from")]
    layer: Literal["end"] = "end"
    type: Literal["clean", "error", "failed", "refused"]
    clause: str = ""


type Event = Annotated[
    Opening | PartEvent | FrameEvent | Control | ErrorEvent | End, Field(discriminator="layer")
]


def carried(payload: bytes, *, textual: bool, redact: bool = False) -> dict[str, Any]:
    """The fields of a `PartEvent` or `FrameEvent` that hold a payload.

    Args:
        textual: whether it is meant as text; where it is no UTF-8 it is written as base64.
        redact: leave it out, and keep its size and type.
    """
    if redact:
        return {"size": len(payload), "message": _message_type(payload)}
    if textual:
        try:
            return {"text": payload.decode()}
        except UnicodeDecodeError:
            pass
    return {"base64": base64.b64encode(payload).decode()}


def _message_type(payload: bytes) -> str | None:
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    kind = document.get("type") if isinstance(document, dict) else None
    # Anything that does not look like the name of a type may be what somebody said.
    return kind if isinstance(kind, str) and _MESSAGE_TYPE.fullmatch(kind) else None


def to_line(item: Header | Event) -> bytes:
    """One line of a recording, with its newline; what has its default value is not written."""
    names = [field.name for field in dataclasses.fields(item)]
    if not isinstance(item, Header):
        names = [*_EVENT_ORDER, *(name for name in names if name not in _EVENT_ORDER)]
    defaults = {field.name: field.default for field in dataclasses.fields(item)}
    document: dict[str, Any] = {}
    for name in names:
        value = getattr(item, name)
        if name in ("recording", "layer") or value != defaults[name]:
            document["from" if name == "sender" else name] = value
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"
