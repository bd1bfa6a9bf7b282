"""Event-stream messages of a response, and the parts that they carry (W3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal
from zlib import crc32

from smithy_aws_event_stream.events import Event as Encoded
from smithy_aws_event_stream.events import EventMessage
from smithy_aws_event_stream.exceptions import EventError

from sagemaker_bidi_contract.exchange import SHOWN_CHARACTERS, beginning

type DataType = Literal["UTF8", "BINARY"]

PART = "PayloadPart"
OCTETS = "application/octet-stream"
_PRELUDE = 12
_LONGEST = 17 * 2**20
_LARGE_BYTES = 1_000
_SHOWN_OF_LARGE = 12


@dataclass(frozen=True, slots=True)
class WirePart:
    """A payload part; None leaves a header out.

    Args:
        data: its bytes.
        data_type: UTF8 or BINARY; any text for a check of what is refused.
        completion: PARTIAL or COMPLETE; the same.
        padding: the header `P`.
    """

    data: bytes
    data_type: str | None = None
    completion: str | None = None
    padding: str | None = None

    def message(self) -> EventMessage:
        """The message as the SDK writes it."""
        chosen = {
            "DataType": self.data_type,
            "CompletionState": self.completion,
            "P": self.padding,
        }
        headers: dict[str, Any] = {
            ":message-type": "event",
            ":event-type": PART,
            ":content-type": OCTETS,
            **{name: value for name, value in chosen.items() if value is not None},
        }
        return EventMessage(headers=headers, payload=self.data)

    def __str__(self) -> str:
        size = f"{len(self.data):,} byte{'' if len(self.data) == 1 else 's'}"
        kinds = [kind for kind in (self.data_type, self.completion) if kind]
        said = ", ".join([*kinds, size])
        characters = SHOWN_CHARACTERS if len(self.data) < _LARGE_BYTES else _SHOWN_OF_LARGE
        return f"{PART} ({said}) {beginning(self.data, characters)}".rstrip()


@dataclass(frozen=True, slots=True)
class Event:
    """A message of the response.

    Args:
        headers: by name.
        payload: all bytes.
    """

    headers: Mapping[str, Any]
    payload: bytes

    @property
    def name(self) -> str:
        """What it is: `PayloadPart`, an exception's type, or an error's code."""
        for header in (":event-type", ":exception-type", ":error-code"):
            if header in self.headers:
                return str(self.headers[header])
        return "a message of no type"

    @property
    def is_error(self) -> bool:
        """Whether it ends the stream with an error (E5)."""
        return self.headers.get(":message-type") in ("exception", "error")

    @property
    def part(self) -> WirePart | None:
        """The part that it carries, if it is one."""
        if self.headers.get(":message-type") != "event" or self.name != PART:
            return None
        return WirePart(
            self.payload, self.headers.get("DataType"), self.headers.get("CompletionState")
        )

    def __str__(self) -> str:
        if (part := self.part) is not None:
            return str(part)
        kind = self.headers.get(":message-type", "message")
        said = str(self.headers.get(":error-message", "")) or beginning(self.payload, 300)
        return f"{kind} {self.name}: {said}" if said else f"{kind} {self.name}"


class Malformed(ValueError):
    """The response holds bytes that are no event-stream message; says what is wrong."""


class Messages:
    """Cuts the bytes of a response into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> None:
        """Take bytes in."""
        self._buffer += data

    @property
    def left(self) -> int:
        """Bytes of a message that is not complete yet."""
        return len(self._buffer)

    def next(self) -> Event | None:
        """The next message, if it is complete.

        Raises:
            Malformed: a wrong length, checksum or header.
        """
        buffer = self._buffer
        if len(buffer) < _PRELUDE:
            return None
        total = int.from_bytes(buffer[:4])
        if crc32(buffer[:8]) != int.from_bytes(buffer[8:12]):
            raise Malformed("the prelude's CRC-32 is wrong")
        if not _PRELUDE + 4 <= total <= _LONGEST:
            raise Malformed(f"the prelude gives a length of {total:,} bytes")
        if len(buffer) < total:
            return None
        whole = bytes(buffer[:total])
        del buffer[:total]
        try:
            found = Encoded.decode(BytesIO(whole))
        except (EventError, ValueError, KeyError, IndexError) as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            raise Malformed(f"a message of {total:,} bytes cannot be decoded: {said}") from error
        assert found is not None
        return Event(found.message.headers, found.message.payload)
