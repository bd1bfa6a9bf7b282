"""Compares what was recorded with what came: exactly, as JSON with rules, or by the text alone."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sagemaker_bidi.recordings.script import Message, as_json

type Mode = Literal["exact", "json", "text"]
MODES: tuple[str, ...] = get_args(Mode.__value__)

# Ids, times and usage: what differs from one run to the next.
IGNORED = (
    "id",
    "event_id",
    "item_id",
    "response_id",
    "session_id",
    "request_id",
    "created",
    "created_at",
    "time",
    "timestamp",
    "expires_at",
    "usage",
)

_CONTEXT = 2
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference between two lists of messages.

    Args:
        what: `message` or `text`.
        at: the number of the first that differs, from 1.
        recorded, received: all of both, as they were compared.
    """

    what: str
    at: int
    recorded: tuple[str, ...]
    received: tuple[str, ...]

    def lines(self) -> list[str]:
        """The difference in its context, for people."""
        index = self.at - 1
        told = [f"{self.what} {self.at} differs: {self._summary(index)}"]
        told += self._context(max(0, index - _CONTEXT), index)
        told += _pair(
            index + 1,
            self.recorded[index] if index < len(self.recorded) else None,
            self.received[index] if index < len(self.received) else None,
        )
        told += self._context(index + 1, min(index + 1 + _CONTEXT, len(self.recorded)))
        return told

    def _context(self, start: int, stop: int) -> list[str]:
        return [
            f"    {number + 1:>4}  {_shortened(self.recorded[number])}"
            for number in range(start, stop)
        ]

    def _summary(self, index: int) -> str:
        if index >= len(self.recorded):
            return f"{len(self.recorded)} were recorded, {len(self.received)} came"
        if index >= len(self.received):
            return f"{len(self.recorded)} were recorded, only {len(self.received)} came"
        return "it was recorded otherwise"


def compare(
    recorded: Sequence[Message],
    received: Sequence[Message],
    mode: Mode,
    ignored: Iterable[str] = IGNORED,
) -> Difference | None:
    """The first difference, or None.

    Args:
        mode: `exact`: type, fragments and bytes; `json`: messages as JSON, without the members
            `ignored` at any depth, others exactly; `text`: deltas joined, final texts.
    """
    before = comparable(recorded, mode, ignored)
    after = comparable(received, mode, ignored)
    if before == after:
        return None
    at = next(
        (n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other),
        min(len(before), len(after)),
    )
    return Difference("text" if mode == "text" else "message", at + 1, before, after)


def likeness(
    recorded: Sequence[Message],
    received: Sequence[Message],
    mode: Mode,
    ignored: Iterable[str] = IGNORED,
) -> tuple[int, int]:
    """How many messages are alike, in order, and of how many."""
    before = comparable(recorded, mode, ignored)
    after = comparable(received, mode, ignored)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    alike = sum(block.size for block in matcher.get_matching_blocks())
    return alike, max(len(before), len(after))


def comparable(
    messages: Sequence[Message], mode: Mode, ignored: Iterable[str] = IGNORED
) -> tuple[str, ...]:
    """What is compared of messages, as text."""
    match mode:
        case "exact":
            return tuple(_exact(message) for message in messages)
        case "json":
            left_out = frozenset(ignored)
            return tuple(_json(message, left_out) for message in messages)
        case "text":
            return tuple(texts(messages))


def texts(messages: Sequence[Message]) -> list[str]:
    """What was said: final texts, deltas that none follows, and what is no JSON."""
    said: list[str] = []
    deltas: list[str] = []
    for message in messages:
        document = as_json(message)
        match document:
            case {"delta": str(delta)}:
                deltas.append(delta)
            case {"text": str(text)}:
                deltas.clear()
                said.append(text.strip())
            case {"type": "error", **rest}:
                said.append(f"error: {rest.get('code') or rest.get('error')}")
            case dict():
                pass
            case _:
                said.append(message.payload.decode(errors="replace"))
    if deltas:
        said.append("".join(deltas).strip())
    return said


def _exact(message: Message) -> str:
    kind = "text" if message.text else "binary"
    return f"{kind} {' + '.join(_bytes(part, text=message.text) for part in message.fragments)}"


def _bytes(payload: bytes, *, text: bool) -> str:
    if text:
        try:
            return payload.decode()
        except UnicodeDecodeError:
            pass
    return f"0x{payload.hex()}"


def _json(message: Message, ignored: frozenset[str]) -> str:
    document = as_json(message)
    if not isinstance(document, dict | list):
        return _exact(Message(message.text, (message.payload,)))
    return json.dumps(_without(document, ignored), ensure_ascii=False, sort_keys=True)


def _without(value: object, ignored: frozenset[str]) -> object:
    match value:
        case dict():
            return {k: _without(v, ignored) for k, v in value.items() if k not in ignored}
        case list():
            return [_without(each, ignored) for each in value]
        case _:
            return value


def _pair(number: int, recorded: str | None, received: str | None) -> list[str]:
    if recorded is None or received is None:
        return [
            f"  - {number:>4}  {_shortened(recorded) if recorded is not None else '(nothing)'}",
            f"  + {number:>4}  {_shortened(received) if received is not None else '(nothing)'}",
        ]
    start = next(
        (n for n, (a, b) in enumerate(zip(recorded, received, strict=False)) if a != b),
        min(len(recorded), len(received)),
    )
    begin = max(0, start - _SHOWN // 2)
    mark = start - begin + (begin > 0)
    return [
        f"  - {number:>4}  {_window(recorded, begin)}",
        f"  + {number:>4}  {_window(received, begin)}",
        f"          {' ' * mark}^ character {start + 1}",
    ]


def _window(text: str, begin: int) -> str:
    end = begin + 2 * _SHOWN
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if len(text) > end else ''}"


def _shortened(text: str) -> str:
    return _window(text, 0)
