"""Parts and frames: one payload part is one WebSocket data frame, in both directions (F1-F3).

Nothing is merged, split, decoded or looked into: the bytes pass as they are, invalid UTF-8 too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from sagemaker_bidi.contract.eventstream.messages import (
    HeaderValue,
    Message,
    encode_headers,
    encode_message,
)

UTF8 = "UTF8"
BINARY = "BINARY"
PARTIAL = "PARTIAL"
COMPLETE = "COMPLETE"


class Opcode(IntEnum):
    """A WebSocket frame's opcode (RFC 6455 5.2)."""

    CONT = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


@dataclass(frozen=True, slots=True)
class Frame:
    """A WebSocket frame (RFC 6455 5.2): opcode, payload bytes, FIN bit."""

    opcode: Opcode
    payload: bytes = b""
    fin: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """A PayloadPart (W3).

    Args:
        payload: the bytes.
        data_type: `UTF8`, `BINARY`, or None where the client sent none (F2).
        completion_state: `PARTIAL`, `COMPLETE`, or None where the client sent none.
    """

    payload: bytes
    data_type: str | None = None
    completion_state: str | None = None

    @property
    def last(self) -> bool:
        """Whether this part ends its message; a part with no CompletionState does."""
        return self.completion_state != PARTIAL


class InvalidPart(ValueError):
    """An event that is no payload part, or one that breaks F7; says what was wrong."""


def part_from_message(message: Message) -> Part:
    """Read a client's event (W3).

    Raises:
        InvalidPart: another message or event type, or a DataType or CompletionState outside its
            two values (F7).
    """
    headers = message.headers
    kind = headers.get(":message-type")
    if kind != "event":
        raise InvalidPart(f":message-type is {_shown(kind)}, expected 'event'")
    event = headers.get(":event-type")
    if event != "PayloadPart":
        raise InvalidPart(f":event-type is {_shown(event)}, expected 'PayloadPart'")
    return Part(
        message.payload,
        _member(headers.get("DataType"), "DataType", UTF8, BINARY),
        _member(headers.get("CompletionState"), "CompletionState", PARTIAL, COMPLETE),
    )


def _member(value: HeaderValue | None, name: str, *allowed: str) -> str | None:
    if value is None or (isinstance(value, str) and value in allowed):
        return value
    raise InvalidPart(f"{name} is {_shown(value)}, expected {' or '.join(allowed)}")


def _shown(value: HeaderValue | None) -> str:
    return "missing" if value is None else repr(value)[:80]


def encode_part(part: Part) -> bytes:
    """Write a part as SageMaker sends it to the client, one message's bytes (W3)."""
    return encode_message(_part_headers(part.data_type, part.completion_state), part.payload)


@lru_cache
def _part_headers(data_type: str | None, completion_state: str | None) -> bytes:
    headers: dict[str, HeaderValue] = {
        ":message-type": "event",
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
    }
    if data_type is not None:
        headers["DataType"] = data_type
    if completion_state is not None:
        headers["CompletionState"] = completion_state
    return encode_headers(headers)


class PartsToFrames:
    """The way to the container: parts become frames (F1-F3).

    `PARTIAL … PARTIAL COMPLETE` is one fragmented message (RFC 6455 5.4).

    Args:
        reassemble: wait for COMPLETE and send one frame, as AWS's vLLM-Omni container has it (F4).
        message_bytes: how much a message that is being reassembled may hold (K5).
    """

    def __init__(self, *, reassemble: bool = False, message_bytes: int = 64 * 1024 * 1024) -> None:
        self._reassemble = reassemble
        self._message_bytes = message_bytes
        self._open: Opcode | None = None
        self._held = bytearray()

    def frame(self, part: Part) -> Frame | None:
        """The frame for a part; None only while a message is being reassembled (F4).

        Raises:
            InvalidPart: the type changed inside a fragmented message (F7), or a message that is
                being reassembled grew over its limit (K5).
        """
        opcode = Opcode.TEXT if part.data_type == UTF8 else Opcode.BINARY
        first = self._open is None
        if self._open is not None and part.data_type is not None and opcode is not self._open:
            raise InvalidPart(
                f"DataType changed to {part.data_type} inside a fragmented message that began as "
                f"{UTF8 if self._open is Opcode.TEXT else BINARY}"
            )
        opcode = self._open or opcode
        self._open = None if part.last else opcode
        if self._reassemble:
            return self._collect(part, opcode)
        return Frame(opcode if first else Opcode.CONT, part.payload, part.last)

    def _collect(self, part: Part, opcode: Opcode) -> Frame | None:
        size = len(self._held) + len(part.payload)
        if size > self._message_bytes:
            raise InvalidPart(
                f"a message reached {size} bytes with this part; "
                f"{self._message_bytes} are allowed while it is reassembled"
            )
        self._held += part.payload
        if not part.last:
            return None
        payload = bytes(self._held)
        self._held.clear()
        return Frame(opcode, payload)


class FramesToParts:
    """The way back: data frames become parts (F1-F3). FIN 0 is PARTIAL, FIN 1 is COMPLETE."""

    def __init__(self) -> None:
        self._data_type = BINARY

    def part(self, frame: Frame) -> Part:
        """The part for a data frame; a continuation keeps the type of its message."""
        if frame.opcode is Opcode.TEXT:
            self._data_type = UTF8
        elif frame.opcode is Opcode.BINARY:
            self._data_type = BINARY
        return Part(frame.payload, self._data_type, COMPLETE if frame.fin else PARTIAL)
