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
class Tell:
    """Send a process this signal."""

    name: Name
    number: signal.Signals


@dataclass(frozen=True, slots=True)
class Finish:
    """Kill whatever is left and end the container with this code; `why` is for the log."""

    code: int
    why: str


Event = Ended | Told
Action = Tell | Finish


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds.

    Args:
        stop: from SIGTERM until what is left is killed; under SageMaker's 30.
        rest: what the other process has once one has ended by itself: the bridge to close its
            sessions with 1011, vLLM to let go of the GPU.
        hurry: the same after a second SIGTERM.
    """

    stop: float = 29.0
    rest: float = 5.0
    hurry: float = 1.0


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
        self._why = ""
        self.deadline: float | None = None

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

    def receive_time(self, now: float) -> list[Action]:
        """Act on the deadline, where it has come."""
        if self.deadline is None or now < self.deadline:
            return []
        self.deadline = None
        left = " and ".join(sorted(self._alive))
        return [Finish(self._code(), f"{self._why}; {left} had to be killed")]

    def _stop(self, now: float) -> Iterator[Action]:
        if self._told:
            # The bridge ends its sessions at the second signal, whatever they still have to say.
            self._by(now + self._limits.hurry)
            yield from (Tell(name, signal.SIGTERM) for name in sorted(self._alive))
            return
        self._told = True
        self._why = self._why or "told to stop"
        self._by(now + self._limits.stop)
        if "bridge" in self._alive:
            yield Tell("bridge", signal.SIGTERM)

    def _ended(self, event: Ended, now: float) -> Iterator[Action]:
        self._alive.discard(event.name)
        if self._first is None:
            self._first = event
            if not self._told:
                self._why = f"{event.name} ended with {event.code}"
        if not self._alive:
            yield Finish(self._code(), self._why)
            return
        if event.name == "bridge" or not self._told:
            self._by(now + self._limits.rest)
            yield from (Tell(name, signal.SIGTERM) for name in sorted(self._alive))

    def _by(self, deadline: float) -> None:
        self.deadline = deadline if self.deadline is None else min(self.deadline, deadline)

    def _code(self) -> int:
        if self._first is None:
            return 128 + signal.SIGKILL
        return self._first.code
