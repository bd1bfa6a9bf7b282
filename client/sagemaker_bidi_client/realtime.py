"""vLLM's Realtime API for transcription, as messages: no I/O here.

Client messages are made as JSON text; server messages are parsed into frozen dataclasses. The
order that the server expects is session.created (from it), session.update, commit, append, …,
commit with `final`, and then transcription.done (from it).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field


class RealtimeError(Exception):
    """The server sent something that is no message of the Realtime API."""


@dataclass(frozen=True)
class SessionCreated:
    """The server is there; it says so right after the connection."""

    id: str


@dataclass(frozen=True)
class Delta:
    """The next words; empty ones are common, the model speaks every 80 ms of audio."""

    text: str


@dataclass(frozen=True)
class Usage:
    """Tokens that an utterance took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True)
class Done:
    """The utterance is complete; `text` is all of it."""

    text: str
    usage: Usage | None = None


@dataclass(frozen=True)
class ErrorEvent:
    """The server refused a message, or lost its engine; the connection stays open."""

    message: str
    code: str | None = None


@dataclass(frozen=True)
class Unknown:
    """A message of a type that this client doesn't know."""

    type: str


type ServerEvent = SessionCreated | Delta | Done | ErrorEvent | Unknown


def session_update(model: str) -> str:
    """Make the message that names the model; "" stands for the one that the server runs."""
    return json.dumps({"type": "session.update", "model": model})


def append(pcm: bytes) -> str:
    """Make the message that carries audio: 16 kHz, mono, PCM16, whole samples only.

    Raises ValueError for no audio and for half a sample, which the server would refuse too.
    """
    if not pcm or len(pcm) % 2:
        raise ValueError(f"an append carries whole 16-bit samples, not {len(pcm)} bytes")
    audio = base64.b64encode(pcm).decode("ascii")
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


def commit(*, final: bool = False) -> str:
    """Make the message that starts the transcription, or (`final`) says that the audio is over."""
    return json.dumps({"type": "input_audio_buffer.commit", "final": final})


def parse(data: str | bytes) -> ServerEvent:
    """Read a server message.

    Raises RealtimeError where it is no JSON object with a `type`, or a field is missing or of the
    wrong kind. The message's content isn't repeated in the error: it may be somebody's speech.
    """
    try:
        message = json.loads(data)
    except ValueError as error:
        raise RealtimeError(
            f"expected a JSON message from the model, got {len(data)} "
            f"{'bytes' if isinstance(data, bytes) else 'characters'} that aren't JSON: is there a "
            f"vLLM realtime server behind this endpoint?"
        ) from error
    if not isinstance(message, Mapping):
        raise RealtimeError(f"expected a JSON object from the model, got {_kind(message)}")
    match message.get("type"):
        case "session.created":
            return SessionCreated(_text(message, "id"))
        case "transcription.delta":
            return Delta(_text(message, "delta"))
        case "transcription.done":
            return Done(_text(message, "text"), _usage(message.get("usage")))
        case "error":
            return _error(message)
        case str(kind):
            return Unknown(kind)
        case other:
            raise RealtimeError(f'expected a "type" in the model\'s message, got {_kind(other)}')


@dataclass
class Transcript:
    """What the model has said of one utterance."""

    text: str = ""
    deltas: int = 0
    empty_deltas: int = 0
    done: Done | None = field(default=None)

    def receive(self, event: ServerEvent) -> None:
        """Take in one event; those that carry no words change nothing."""
        match event:
            case Delta(text):
                self.deltas += 1
                self.empty_deltas += not text
                self.text += text
            case Done(text):
                self.done = event
                # The final text is the server's last word, also where no delta came before it.
                self.text = text


def _error(message: Mapping[str, object]) -> ErrorEvent:
    # vLLM's is flat; OpenAI's, which gateways in between tend to send, is nested.
    match message.get("error"):
        case {"message": str(text), **rest}:
            code = rest.get("code")
            return ErrorEvent(text, code if isinstance(code, str) else None)
        case str(text):
            code = message.get("code")
            return ErrorEvent(text, code if isinstance(code, str) else None)
        case other:
            raise RealtimeError(
                f'expected a text in the error message\'s "error", got {_kind(other)}'
            )


def _usage(value: object) -> Usage | None:
    match value:
        case {
            "prompt_tokens": int(prompt),
            "completion_tokens": int(completion),
            "total_tokens": int(total),
        }:
            return Usage(prompt, completion, total)
    return None


def _text(message: Mapping[str, object], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str):
        raise RealtimeError(
            f'expected a text in "{name}" of the model\'s {message["type"]} message, '
            f"got {_kind(value)}"
        )
    return value


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
    return "an object"
