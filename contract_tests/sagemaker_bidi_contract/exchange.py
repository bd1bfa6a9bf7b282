"""What went over the wire during a check, in words that a report can show.

The suite's own messages are shown by their first characters, and so are a container's answers to
them; recordings given with `--audio` and what a model makes of them are shown by their size.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from websockets.frames import Close, Frame, Opcode

type Direction = Literal["sent", "received", "note"]

LINES = 200
SHOWN_CHARACTERS = 80
_LARGE_BYTES = 1_000
_SHOWN_OF_LARGE = 12

_NAMES = {
    Opcode.CONT: "continuation",
    Opcode.TEXT: "text",
    Opcode.BINARY: "binary",
    Opcode.PING: "ping",
    Opcode.PONG: "pong",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened.

    Args:
        at: seconds since the check began.
        who: the connection, such as `session 1`, `/ping` or `backend`.
        direction: as the suite sees it; a note is the suite's own remark.
        text: what it was.
    """

    at: float
    who: str
    direction: Direction
    text: str


class ExchangeLog:
    """Collects the lines of one check after the other; long ones keep their beginning and end.

    Args:
        now: seconds of any steady clock.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._paused = False
        self.shows_payloads = True
        self.begin()

    def begin(self) -> None:
        """Start over, for the next check."""
        self._started = self._now()
        self._lines: list[Line] = []
        self._left_out = 0

    def add(self, who: str, direction: Direction, text: str) -> None:
        """Write one line."""
        if self._paused:
            return
        self._lines.append(Line(self._now() - self._started, who, direction, text))
        if len(self._lines) > LINES:
            del self._lines[LINES // 2]
            self._left_out += 1

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Write nothing down for the time of the block, which is no part of the check."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def frame(self, who: str, direction: Direction, frame: Frame) -> None:
        """Write one frame."""
        self.add(who, direction, describe(frame, payload=self.shows_payloads))

    def lines(self) -> tuple[Line, ...]:
        """The lines so far, with a note where some were left out."""
        if not self._left_out:
            return tuple(self._lines)
        middle = self._lines[LINES // 2]
        note = Line(middle.at, "", "note", f"{self._left_out} lines left out")
        return (*self._lines[: LINES // 2], note, *self._lines[LINES // 2 :])


def describe(frame: Frame, *, payload: bool = True) -> str:
    """Say what a frame is, by kind, size, FIN bit and the beginning of its payload."""
    data = bytes(frame.data)
    if frame.opcode is Opcode.CLOSE:
        return f"Close {closing(data)}"
    fin = "" if frame.fin else ", FIN 0"
    size = f"{len(data):,} byte{'' if len(data) == 1 else 's'}{fin}"
    characters = SHOWN_CHARACTERS if len(data) < _LARGE_BYTES else _SHOWN_OF_LARGE
    shown = f" {beginning(data, characters)}" if payload and data else ""
    return f"{_NAMES[frame.opcode]} ({size}){shown}"


def closing(data: bytes) -> str:
    """Say what a Close frame's payload holds: code and reason (RFC 6455, 5.5.1)."""
    if not data:
        return "with no code"
    try:
        close = Close.parse(data)
    except Exception as error:
        return f"that is malformed ({error})"
    return f"{int(close.code)} {close.reason!r}" if close.reason else f"{int(close.code)}"


def beginning(data: bytes, characters: int = SHOWN_CHARACTERS) -> str:
    """Show the beginning of a payload, as text where it is text, else in hex."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        head = data[: characters // 3].hex(" ")
        return f"{head} …" if len(data) > characters // 3 else head
    text, cut = text[: characters + 1], len(text) > characters
    if not text.isprintable():
        text = text.encode("unicode_escape").decode()
    return f"{text[:characters]}…" if cut else text


def milliseconds(seconds: float) -> str:
    """Show a short time: `3.2 ms`, `240 ms`, `1.25 s`."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1_000:.1f} ms" if seconds < 0.1 else f"{seconds * 1_000:.0f} ms"
