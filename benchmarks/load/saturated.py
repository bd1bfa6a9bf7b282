"""Saturated work: a number of frames always under way, for what a frame costs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from benchmarks.load.payloads import Payload
from benchmarks.load.session import LoadSession, SessionLost
from benchmarks.load.window import Window, drained


class _Saturated:
    """Keeps a number of frames under way; an echo makes the next session in turn send one."""

    def __init__(self, sessions: Sequence[LoadSession], payloads: Sequence[Payload]) -> None:
        self.carried = 0
        self.bytes = 0
        self.running = True
        self._sessions = sessions
        self._payloads = payloads
        self._turn = 0
        self._waiting: list[deque[Payload]] = [deque() for _ in sessions]
        for number, session in enumerate(sessions):
            session.taken = self._taker(self._waiting[number])

    def _taker(self, waiting: deque[Payload]) -> Any:
        def taken(text: bytes, _: float) -> None:
            if text != waiting.popleft().text:
                raise SessionLost("a frame came back changed, or out of its order")
            self.carried += 1
            self.bytes += len(text)
            if self.running:
                self.send()

        return taken

    def send(self) -> None:
        number = self._turn % len(self._sessions)
        payload = self._payloads[self._turn % len(self._payloads)]
        self._turn += 1
        session = self._sessions[number]
        session.prepare(payload)
        self._waiting[number].append(payload)
        session.send()

    @property
    def under_way(self) -> int:
        return sum(map(len, self._waiting))


async def saturated(
    sessions: Sequence[LoadSession],
    payloads: Sequence[Payload],
    *,
    under_way: int,
    warm_up: float,
    seconds: float,
    pids: Sequence[int],
) -> dict[str, Any]:
    """Keep `under_way` frames on their way at any time; gives how many came back.

    Args:
        under_way: frames sent and not yet back, over all sessions.
        warm_up: seconds before the measured window.
        seconds: of the window.
        pids: whose CPU is counted.
    """
    flow = _Saturated(sessions, payloads)
    for _ in range(under_way):
        flow.send()
    await asyncio.sleep(warm_up)
    window, carried, size = Window(pids), flow.carried, flow.bytes
    await asyncio.sleep(seconds)
    spent = window.end()
    carried, size = flow.carried - carried, flow.bytes - size
    flow.running = False
    await drained(lambda: not flow.under_way)
    return {
        **spent,
        "round_trips": carried,
        "bytes": size,
        "lost": flow.under_way,
        "failures": sorted({s.failure for s in sessions if s.failure is not None}),
    }
