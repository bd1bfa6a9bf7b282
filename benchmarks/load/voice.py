"""Voice: 8 frames of 5.6 KB a second up, 12.5 frames of 60 bytes a second down, each on its own.

The two directions do not wait for each other, so each is timed by itself: processes of one machine
share the monotonic clock, the container puts its time in each frame and tells in it when the
client's frames arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any

from benchmarks.container import ARRIVAL, STAMP
from benchmarks.load.payloads import Payload
from benchmarks.load.session import LoadSession
from benchmarks.load.window import PACE, drained, microseconds, paced_window


class _VoiceSession:
    """One speaker, one model."""

    def __init__(self, session: LoadSession, payloads: Sequence[Payload], number: int) -> None:
        self.session = session
        self.up: list[float] = []
        self.down: list[float] = []
        self.delays: list[float] = []
        self.skipped = 0
        self.sent: list[int] = []
        self.arrived = 0
        self.spoke_at = 0.0
        self._measured = (0.0, 0.0)
        # The container speaks from the first moment; the first frame seen here begins the count.
        self._next_down: int | None = None
        self._payloads = payloads
        self._number = number
        session.taken = self._taken
        session.prepare(payloads[number % len(payloads)])

    def start(self, first: float, measured: tuple[float, float]) -> None:
        self._measured = measured
        asyncio.get_running_loop().call_at(first, self._tick, first)

    def _tick(self, due: float) -> None:
        if self.session.failure is not None or due >= self._measured[1]:
            return
        loop = asyncio.get_running_loop()
        if due >= self._measured[0]:
            self.delays.append(loop.time() - due)
        self.sent.append(perf_counter_ns())
        self.session.send()
        self.session.prepare(self._payloads[(self._number + len(self.sent)) % len(self._payloads)])
        loop.call_at(due + 1 / PACE, self._tick, due + 1 / PACE)

    def _taken(self, text: bytes, at: float) -> None:
        number, sent, told = STAMP.unpack_from(text)
        if self._next_down is not None:
            self.skipped += abs(number - self._next_down)
        self._next_down = number + 1
        self.spoke_at = sent / 1e9
        first, last = self._measured
        if first <= sent / 1e9 < last:
            self.down.append(at - sent / 1e9)
        for position in range(told):
            index, arrived = ARRIVAL.unpack_from(text, STAMP.size + position * ARRIVAL.size)
            self.skipped += abs(index - self.arrived)
            self.arrived = index + 1
            if first <= self.sent[index] / 1e9 < last:
                self.up.append((arrived - self.sent[index]) / 1e9)


async def voice(
    sessions: Sequence[LoadSession],
    payloads: Sequence[Payload],
    *,
    warm_up: float,
    seconds: float,
    pids: Sequence[int],
) -> dict[str, Any]:
    """Speak with a voice container for a while; gives the one-way times of both directions.

    Args:
        warm_up: seconds before the measured window.
        seconds: of the window.
        pids: whose CPU is counted.
    """
    # asyncio's clock, perf_counter and monotonic_ns are all CLOCK_MONOTONIC on Linux.
    flows = [_VoiceSession(session, payloads, n) for n, session in enumerate(sessions)]
    spent, measured = await paced_window(flows, warm_up=warm_up, seconds=seconds, pids=pids)
    # A frame that the container sent after the window says that all of the window's have come.
    await drained(
        lambda: all(
            flow.arrived == len(flow.sent) and flow.spoke_at >= measured[1] for flow in flows
        )
    )
    return {
        **spent,
        "up_us": microseconds(flow.up for flow in flows),
        "down_us": microseconds(flow.down for flow in flows),
        "late_us": microseconds(flow.delays for flow in flows),
        "lost": sum(
            len(flow.sent) - flow.arrived + flow.skipped + (flow.spoke_at < measured[1])
            for flow in flows
        ),
        "failures": sorted({s.failure for s in sessions if s.failure is not None}),
    }
