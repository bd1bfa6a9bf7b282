"""Keepalive towards the container as a state machine driven by `now` (K1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping with this payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The container answered none of the last `pings` pings: close its connection."""

    pings: int


class Keepalive:
    """A ping each `interval`; no pong for `limit` consecutive pings ends the connection (K1).

    Args:
        now: when the connection opened, seconds of the emulator's clock.
        interval: seconds between pings, 60 as documented.
        limit: consecutive unanswered pings, 5 as documented.
        last_wait: seconds that the last of them is still waited for. AWS does not say; with the
            default of 0 a silent container is closed right after its fifth ping, at 300 s.
    """

    def __init__(
        self, now: float, *, interval: float = 60.0, limit: int = 5, last_wait: float = 0.0
    ) -> None:
        self._interval = interval
        self._limit = limit
        self._last_wait = last_wait
        self._next = now + interval
        self._last_ping = now
        self._sent = 0
        self._pending: list[bytes] = []

    @property
    def unanswered(self) -> int:
        """Pings in a row that no pong has answered."""
        return len(self._pending)

    def deadline(self) -> float:
        """When `receive_timeout` wants to be called next."""
        return self._next

    def receive_timeout(self, now: float) -> Ping | Unanswered | None:
        """What is due at `now`; call it again once `deadline()` has been reached.

        It is one ping at most, however late the call: for the time that a machine was suspended
        no pings are owed, and the container gets its chance to answer this one.
        """
        if now < self._next:
            return None
        if len(self._pending) >= self._limit:
            self._next = float("inf")
            return Unanswered(len(self._pending))
        self._sent += 1
        payload = struct.pack(">I", self._sent)
        self._pending.append(payload)
        self._last_ping = now
        if len(self._pending) >= self._limit:
            self._next = now + self._last_wait
        else:
            # A little lateness does not shift the rhythm.
            rhythm = self._next + self._interval
            self._next = rhythm if rhythm > now else now + self._interval
        return Ping(payload)

    def receive_pong(self, payload: bytes) -> None:
        """A pong answers its ping and every one before it (RFC 6455 5.5.3); others are ignored."""
        if payload not in self._pending:
            return
        del self._pending[: self._pending.index(payload) + 1]
        # The wait for the last pong may be shorter than an interval: take up the rhythm again.
        self._next = max(self._next, self._last_ping + self._interval)
