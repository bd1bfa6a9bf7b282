"""The tap that writes down, on one timeline, what each side of a session got to see.

Names and sizes only: payloads stay out. What repeats is told once, with how often and until when.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sagemaker_bidi.contract.endings import ABNORMAL
from sagemaker_bidi.contract.errors import Refusal, StreamError
from sagemaker_bidi.contract.frames import Frame, Opcode, Part
from sagemaker_bidi.contract.outputs import CloseContainer, Ending
from sagemaker_bidi.tap import Passage, Raw, Tap, TappedSession

type Column = Literal["client", "container"]

# What repeats is told anew after this time, so that both columns stay in step.
RUN_SECONDS = 1.0


@dataclass(slots=True)
class Moment:
    """Something that a side saw, once or several times within `RUN_SECONDS`.

    Args:
        at: seconds after the session opened, or after the first moment where it never did.
        until: the last time, where there was more than one.
        column: whose.
        what: a name: `received transcription.delta`.
        count: how often.
        size: payload bytes in all.
        text: words that the one who noted it wants to be seen.
    """

    at: float
    until: float
    column: Column
    what: str
    count: int = 1
    size: int = 0
    text: str = ""


class Timeline(Tap):
    """Notes what passes the emulator's border, and what others see.

    Args:
        now: seconds of the clock that all who note share.
        data: False leaves the data to those who note it, and takes the rest: control frames,
            errors, Close frames, the end.
        run_seconds: see `RUN_SECONDS`.
    """

    def __init__(
        self, now: Callable[[], float], *, data: bool = True, run_seconds: float = RUN_SECONDS
    ) -> None:
        self.moments: list[Moment] = []
        self.endings: list[Ending | None] = []
        self.refusals: list[Refusal] = []
        self._now = now
        self._data = data
        self.run_seconds = run_seconds
        self._start: float | None = None
        self._runs: dict[tuple[Column, str], Moment] = {}

    def begin(self) -> None:
        """The time is 0 from now on."""
        self._start = self._now()

    def note(self, column: Column, what: str, *, size: int = 0, text: str = "") -> None:
        """A side sees something now."""
        now = self._now()
        self._start = now if self._start is None else self._start
        at = now - self._start
        last = self._runs.get((column, what))
        if last is not None and at - last.at < self.run_seconds:
            last.until = at
            last.count += 1
            last.size += size
            last.text += text
            return
        moment = Moment(at, at, column, what, 1, size, text)
        self._runs[column, what] = moment
        self.moments.append(moment)

    def opened(self, session: TappedSession) -> None:
        if self._data:
            self.note("client", "stream open")

    def passed(self, session_id: str, passage: Passage) -> None:
        match passage.item:
            case Part(payload) | Raw(payload) if self._data:
                self.note("client", f"received {kind_of(payload)}", size=len(payload))
            case StreamError(event, code) if self._data:
                self.note("client", f"received {event} {code}".rstrip())
            case Frame(opcode, payload):
                self._frame(passage, opcode, payload)
            case CloseContainer(code, reason):
                what = "received" if passage.direction == "sent" else "sent"
                said = f"{what} Close {code} {reason}".rstrip()
                self.note("container", "connection lost" if code == ABNORMAL else said)
            case _:
                pass

    def _frame(self, passage: Passage, opcode: Opcode, payload: bytes) -> None:
        what = "received" if passage.direction == "sent" else "sent"
        if opcode in (Opcode.PING, Opcode.PONG):
            self.note("container", f"{what} {opcode.name.lower()}")
        elif self._data:
            self.note("container", f"{what} {kind_of(payload)}", size=len(payload))

    def refused(self, session_id: str, refusal: Refusal, at: float) -> None:
        self.refusals.append(refusal)

    def abandoned(self, session_id: str, why: str, at: float) -> None:
        self.note("client", f"gone, and never answered: {why}")

    def ended(self, session_id: str, ending: Ending | None, at: float) -> None:
        self.endings.append(ending)


def kind_of(payload: bytes) -> str:
    """What a payload is called: the `type` of a JSON object, or `part`."""
    if payload[:1] != b"{":
        return "part"
    try:
        kind = json.loads(payload).get("type")
    except (ValueError, RecursionError):
        return "part"
    return kind if isinstance(kind, str) else "part"
