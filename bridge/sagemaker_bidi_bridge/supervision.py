"""What the container does when a process ends or a signal comes; no I/O.

SageMaker sends SIGTERM and, 30 s later, SIGKILL (K4). The bridge has most of that for its
sessions, and vLLM lives for as long as the bridge does: a session cannot finish without a model.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Name = Literal["bridge", "vllm"]


@dataclass(frozen=True, slots=True)
class Ended:
    """A process has ended; `code` is its exit code, or 128 and the signal that killed it."""

    name: Name
    code: int


@dataclass(frozen=True, slots=True)
class Told:
    """The container has been told to stop, by SIGTERM or SIGINT."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The bridge has answered a question."""


@dataclass(frozen=True, slots=True)
class Silent:
    """The bridge has taken a question, and has not answered in time: it is stopped, or hangs."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the bridge whether it lives, and wait no longer than this for the answer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a process this signal."""

    name: Name
    number: signal.Signals


@dataclass(frozen=True, slots=True)
class Finish:
    """Kill whatever is left and end the container with this code; `why` is for the log."""

    code: int
    why: str


Event = Ended | Told | Answered | Silent
Action = Tell | Finish | Ask


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds.

    Args:
        stop: from SIGTERM until what is left is killed; under SageMaker's 30.
        rest: what the other process has once one has ended by itself: the bridge to close its
            sessions with 1011, vLLM to let go of the GPU.
        hurry: the same after a second SIGTERM.
        ask: between two questions to the bridge, or None for none. SageMaker notices a bridge that
            hangs, and its SIGTERM is nothing that such a bridge hears.
        answer: what the bridge has to answer; and between two questions once SIGTERM has come.
        silences: so many questions in a row without an answer, and the bridge is killed.
    """

    stop: float = 29.0
    rest: float = 5.0
    hurry: float = 1.0
    ask: float | None = None
    answer: float = 2.0
    silences: int = 3


class Supervision:
    """Two processes of which neither goes on without the other.

    Args:
        limits: how long a process has to end.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._alive: set[Name] = {"bridge", "vllm"}
        self._told = False
        self._first: Ended | None = None
        self.why = ""
        self._end: float | None = None
        self._ask_at: float | None = 0.0 if self._limits.ask is not None else None
        self._silences = 0

    @property
    def deadline(self) -> float | None:
        """When there is something to do that no event brings."""
        return min((each for each in (self._end, self._ask_at) if each is not None), default=None)

    def receive(self, event: Event, now: float) -> list[Action]:
        """Take an event into account.

        Args:
            now: seconds on any clock that does not go back.
        """
        match event:
            case Told():
                return list(self._stop(now))
            case Ended():
                return list(self._ended(event, now))
            case Answered():
                self._silences = 0
                return []
            case Silent():
                return list(self._silent())

    def receive_time(self, now: float) -> list[Action]:
        """Act on the deadline, where it has come."""
        if self._end is None or now < self._end:
            if self._ask_at is None or now < self._ask_at:
                return []
            limits = self._limits
            between = limits.answer if self._told or limits.ask is None else limits.ask
            self._ask_at = now + between
            return [Ask(limits.answer)]
        self._end = self._ask_at = None
        left = " and ".join(sorted(self._alive))
        return [Finish(self._code(), f"{self.why}; {left} had to be killed")]

    def _stop(self, now: float) -> Iterator[Action]:
        if self._told:
            # The bridge ends its sessions at the second signal, whatever they still have to say.
            self._by(now + self._limits.hurry)
            yield from (Tell(name, signal.SIGTERM) for name in sorted(self._alive))
            return
        self._told = True
        self.why = self.why or "told to stop"
        self._by(now + self._limits.stop)
        if "bridge" in self._alive:
            yield Tell("bridge", signal.SIGTERM)
            if self._ask_at is not None:
                self._ask_at = now

    def _silent(self) -> Iterator[Action]:
        self._silences += 1
        if self._silences == self._limits.silences and "bridge" in self._alive:
            hangs = f"the bridge hangs: it left {self._silences} questions unanswered"
            self.why = f"{self.why}; {hangs}" if self.why else hangs
            yield Tell("bridge", signal.SIGKILL)

    def _ended(self, event: Ended, now: float) -> Iterator[Action]:
        self._alive.discard(event.name)
        if self._first is None:
            self._first = event
            self.why = self.why or f"{event.name} ended with {event.code}"
        if not self._alive:
            yield Finish(self._code(), self.why)
            return
        if event.name == "bridge":
            self._ask_at = None
        if event.name == "bridge" or not self._told:
            self._by(now + self._limits.rest)
            yield from (Tell(name, signal.SIGTERM) for name in sorted(self._alive))

    def _by(self, deadline: float) -> None:
        self._end = deadline if self._end is None else min(self._end, deadline)

    def _code(self) -> int:
        if self._first is None:
            return 128 + signal.SIGKILL
        return self._first.code
