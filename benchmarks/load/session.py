"""What the work asks of a session, whatever road its frames take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from benchmarks.load.payloads import Payload

type Taken = Callable[[bytes, float], None]


class SessionLost(Exception):
    """A session ended before its time; says what was seen."""


class LoadSession(Protocol):
    """One open session.

    `taken` is called with each frame of the container's and the time (`perf_counter`) at which
    its bytes reached this process. `failure` says why the session ended, None while it lives.
    """

    taken: Taken
    failure: str | None

    def prepare(self, payload: Payload) -> None:
        """Do ahead of time what can be done so; the next `send` sends it."""

    def send(self) -> None:
        """Send what was prepared."""


class Base:
    """The fields that all sessions share."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self.taken: Taken = _ignore
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def lost(self, why: str) -> None:
        """The session is over."""
        self.failure = self.failure or why
        if not self.opened.done():
            self.opened.set_exception(SessionLost(why))


def _ignore(_: bytes, __: float) -> None:
    pass
