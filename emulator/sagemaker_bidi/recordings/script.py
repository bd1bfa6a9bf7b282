"""A recording as two parts to play: what each side said, and after what it had heard."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sagemaker_bidi.contract.endings import ABNORMAL
from sagemaker_bidi.contract.frames import Frame, InvalidPart, Opcode, Part, PartsToFrames
from sagemaker_bidi.recordings.files import Recording, RecordingError
from sagemaker_bidi.recordings.format import Control, ErrorEvent, FrameEvent, PartEvent, Sender

DATA = {"TEXT": Opcode.TEXT, "BINARY": Opcode.BINARY, "CONT": Opcode.CONT}


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message of one side.

    Args:
        text: whether its frames are text frames (F2).
        fragments: the payload of each frame (F3).
    """

    text: bool
    fragments: tuple[bytes, ...]

    @property
    def payload(self) -> bytes:
        """All of it."""
        return b"".join(self.fragments)


@dataclass(frozen=True, slots=True)
class Heard:
    """How many whole messages a side had heard; `final` leaves out deltas."""

    messages: int = 0
    final: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """A frame of one side.

    Args:
        frame: the frame.
        seconds: of the wall's clock, since the stream opened.
        heard: what that side had heard of the other one by then.
    """

    frame: Frame
    seconds: float
    heard: Heard


@dataclass(frozen=True, slots=True)
class Finish:
    """How the session ended.

    Args:
        by: whose doing it was; None where the recording does not tell.
        code, reason: of the container's Close frame; None where none was recorded, 1006 where the
            connection was lost.
        error: what the client was told, if anything.
        seconds: when, of the wall's clock.
    """

    by: Sender | None
    code: int | None = None
    reason: str = ""
    error: ErrorEvent | None = None
    seconds: float = 0.0


class Assembly:
    """Makes messages of frames, and counts them."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.final = 0
        self._text = True
        self._fragments: list[bytes] = []

    def receive(self, frame: Frame) -> None:
        """Take the next data frame."""
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
            self._fragments.clear()
        self._fragments.append(frame.payload)
        if frame.fin:
            message = Message(self._text, tuple(self._fragments))
            self._fragments.clear()
            self.messages.append(message)
            self.final += not is_delta(message)

    @property
    def heard(self) -> Heard:
        """What has been heard so far."""
        return Heard(len(self.messages), self.final)


def is_delta(message: Message) -> bool:
    """Whether a message is a piece of an answer, of which there may be more or fewer each time."""
    document = as_json(message)
    return isinstance(document, dict) and isinstance(document.get("delta"), str)


def _no_json(name: str) -> None:
    # Python takes NaN and Infinity; RFC 8259 does not, and a NaN is never alike.
    raise ValueError(name)


def as_json(message: Message) -> object:
    """The message as JSON; None where it is none."""
    try:
        parsed: object = json.loads(message.payload, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return None
    return parsed


@dataclass(frozen=True, slots=True)
class Script:
    """Both sides of a recording.

    Args:
        client, container: what each said.
        client_messages, container_messages: the same, as whole messages.
        finish: how it ended.
    """

    client: tuple[Said, ...]
    container: tuple[Said, ...]
    client_messages: tuple[Message, ...]
    container_messages: tuple[Message, ...]
    finish: Finish


def script_of(recording: Recording) -> Script:
    """Take a recording apart.

    Raises:
        RecordingError: payloads were left out, or its frames make no sense.
    """
    sides: dict[Sender, list[Said]] = {"client": [], "container": []}
    assemblies: dict[Sender, Assembly] = {"client": Assembly(), "container": Assembly()}
    parts = {"client": PartsToFrames(), "container": PartsToFrames()}
    for number, event in enumerate(recording.events, 2):
        if event.sender == "emulator" or not isinstance(event, PartEvent | FrameEvent):
            continue
        payload = event.payload
        if payload is None:
            raise RecordingError(
                f"{recording.path}:{number}: the payload was left out (--redact), so there is "
                "nothing to play; expected text or base64"
            )
        match event:
            case FrameEvent():
                frame: Frame | None = Frame(DATA[event.type], payload, event.fin)
            case PartEvent():
                data_type = None if event.type == "RAW" else event.type
                try:
                    frame = parts[event.sender].frame(Part(payload, data_type, event.state))
                except InvalidPart as error:
                    raise RecordingError(f"{recording.path}:{number}: {error}") from error
        assert frame is not None
        other: Sender = "container" if event.sender == "client" else "client"
        seconds = event.ms / 1000 / recording.header.time_scale
        sides[event.sender].append(Said(frame, seconds, assemblies[other].heard))
        assemblies[event.sender].receive(frame)
    return Script(
        tuple(sides["client"]),
        tuple(sides["container"]),
        tuple(assemblies["client"].messages),
        tuple(assemblies["container"].messages),
        _finish(recording),
    )


def _finish(recording: Recording) -> Finish:
    close = error = None
    for event in recording.events:
        match event:
            case Control(sender="container", type="CLOSE"):
                close = event
            case ErrorEvent():
                error = event
    end = recording.end
    by = end.sender if end is not None else None if close is None else close.sender
    last = close or error or end
    seconds = 0.0 if last is None else last.ms / 1000 / recording.header.time_scale
    if close is None:
        return Finish(by, None, "", error, seconds)
    return Finish(by, close.code or ABNORMAL, close.text, error, seconds)
