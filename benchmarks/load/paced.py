"""Paced work: every session sends 8 frames a second, for the round trip's time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from benchmarks.load.payloads import Payload
from benchmarks.load.session import LoadSession
from benchmarks.load.window import PACE, drained, microseconds, paced_window


class _PacedSession:
    """Sends a frame each 1/8 s and notes how long its echo took."""

    def __init__(self, session: LoadSession, payloads: Sequence[Payload], number: int) -> None:
        self.session = session
        self.latencies: list[float] = []
        self.delays: list[float] = []
        self.wrong = 0
        self.unanswered: deque[tuple[float, Payload, bool]] = deque()
        self._payloads = payloads
        self._sent = number
        self._stopped = False
        self._from = self._until = 0.0
        session.taken = self._taken
        self._payload = payloads[0]
        self._prepare()

    def start(self, first: float, measured: tuple[float, float]) -> None:
        self._from, self._until = measured
        asyncio.get_running_loop().call_at(first, self._tick, first)

    def _prepare(self) -> None:
        self._payload = self._payloads[self._sent % len(self._payloads)]
        self._sent += 1
        self.session.prepare(self._payload)

    def _tick(self, due: float) -> None:
        if self.session.failure is not None or due >= self._until:
            return
        loop = asyncio.get_running_loop()
        measured = due >= self._from
        if measured:
            self.delays.append(loop.time() - due)
        self.unanswered.append((perf_counter(), self._payload, measured))
        self.session.send()
        self._prepare()
        loop.call_at(due + 1 / PACE, self._tick, due + 1 / PACE)

    def _taken(self, text: bytes, at: float) -> None:
        sent, payload, measured = self.unanswered.popleft()
        self.wrong += text != payload.text
        if measured:
            self.latencies.append(at - sent)


async def paced(
    sessions: Sequence[LoadSession],
    payloads: Sequence[Payload],
    *,
    warm_up: float,
    seconds: float,
    pids: Sequence[int],
) -> dict[str, Any]:
    """Each session sends 8 frames a second, answered or not; gives each round trip's time.

    Args:
        warm_up: seconds before the measured window.
        seconds: of the window.
        pids: whose CPU is counted.
    """
    flows = [_PacedSession(session, payloads, n) for n, session in enumerate(sessions)]
    spent, _ = await paced_window(flows, warm_up=warm_up, seconds=seconds, pids=pids)
    await drained(lambda: not any(flow.unanswered for flow in flows))
    return {
        **spent,
        "latencies_us": microseconds(flow.latencies for flow in flows),
        "late_us": microseconds(flow.delays for flow in flows),
        "lost": sum(measured for flow in flows for _, _, measured in flow.unanswered),
        "wrong": sum(flow.wrong for flow in flows),
        "failures": sorted({s.failure for s in sessions if s.failure is not None}),
    }
