"""The one clock that everything in the emulator waits on.

Two kinds of waiting exist. SageMaker's own schedule (a ping every 60 s, a stream of 30 minutes)
runs on `Clock.now` and may be scaled. Patience with somebody else's real speed (a container that
has 250 ms to accept) runs on `Clock.unscaled`, because a container does not get faster when the
emulator's time does.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import threading
import time
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Protocol


class Clock(Protocol):
    """Tells the time and waits for it."""

    def now(self) -> float:
        """Seconds on this clock, from an arbitrary start, never going back."""

    def utc(self) -> float:
        """Seconds since the epoch, as SigV4 needs them: wall time, never scaled."""

    async def sleep_until(self, deadline: float) -> None:
        """Return once `now()` has reached `deadline`, a value of `now()`."""

    @property
    def unscaled(self) -> Clock:
        """The clock to measure other parties by."""

    @contextlib.asynccontextmanager
    async def within(self, seconds: float | None) -> AsyncGenerator[None]:
        """`async with clock.within(2.0):`: what is awaited inside has so long, by this clock.

        Args:
            seconds: on this clock; None for as long as it takes.

        Raises:
            TimeoutError: the time was over first. What was under way has been cancelled, and has
                ended; what was done by then stays done.
        """
        if seconds is None:
            yield
            return
        deadline = self.now() + seconds
        async with asyncio.timeout(None) as scope:
            timer = asyncio.create_task(self._expire(scope, deadline), name="within")
            try:
                yield
            finally:
                timer.cancel()
        # Not before: an expiry in the meantime would take away what is done.
        await asyncio.wait({timer})

    async def _expire(self, scope: asyncio.Timeout, deadline: float) -> None:
        await self.sleep_until(deadline)
        scope.reschedule(asyncio.get_running_loop().time())


async def first_of(*waits: Awaitable[Any]) -> Any:
    """Wait until one of several is done; the others are cancelled, and have ended on return.

    Args:
        waits: what to wait for, `asyncio.wait({task})` for a task that is to go on. Where several
            are done at once, the earliest named counts.

    Returns:
        What the first one gave.

    Raises:
        What the first one raised.
    """
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class RealClock(Clock):
    """Wall time."""

    def now(self) -> float:
        return time.monotonic()

    def utc(self) -> float:
        return time.time()

    async def sleep_until(self, deadline: float) -> None:
        await asyncio.sleep(max(0.0, deadline - self.now()))

    @property
    def unscaled(self) -> Clock:
        return self


class ScaledClock(Clock):
    """Time that runs `scale` times as fast as the wall's (`--time-scale`).

    Args:
        scale: emulated seconds for one real second; more than 0.
    """

    def __init__(self, scale: float) -> None:
        if not scale > 0:
            raise ValueError(f"time scale must be more than 0, not {scale}")
        self.scale = scale
        self._real = RealClock()
        self._start = self._real.now()

    def now(self) -> float:
        return (self._real.now() - self._start) * self.scale

    def utc(self) -> float:
        return self._real.utc()

    async def sleep_until(self, deadline: float) -> None:
        await asyncio.sleep(max(0.0, deadline - self.now()) / self.scale)

    @property
    def unscaled(self) -> Clock:
        return self._real


class ManualClock(Clock):
    """Time that moves only when a test moves it; who sleeps may do so in another thread's loop.

    Args:
        utc: seconds since the epoch at `now() == 0`; the wall's time unless given.
        unscaled: the clock to measure other parties by; this one unless given. With `RealClock()`
            a container is not late for a health check because a test moved the time meanwhile.
    """

    def __init__(self, *, utc: float | None = None, unscaled: Clock | None = None) -> None:
        self._unscaled = unscaled
        self._now = 0.0
        self._epoch = time.time() if utc is None else utc
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def utc(self) -> float:
        return self._epoch + self._now

    async def sleep_until(self, deadline: float) -> None:
        with self._lock:
            woken = None
            if deadline > self._now:
                woken = asyncio.get_running_loop().create_future()
                heapq.heappush(self._sleepers, (deadline, next(self._order), woken))
        if woken is None:
            await asyncio.sleep(0)
        else:
            await woken

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, waking each sleeper in order at its own time.

        What a sleeper sends over a socket may be answered after this returns: a test that counts
        on the answer moves on in steps and waits for it.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot go back, not by {-seconds:g} s either")
        target = self._now + seconds
        while True:
            with self._lock:
                if not self._sleepers or self._sleepers[0][0] > target:
                    self._now = target
                    return
                deadline, _, woken = heapq.heappop(self._sleepers)
                self._now = max(self._now, deadline)
            loop = woken.get_loop()
            if loop is asyncio.get_running_loop():
                await _wake(woken)
            elif loop.is_running():
                waking = asyncio.run_coroutine_threadsafe(_wake(woken), loop)
                await asyncio.wrap_future(waking)

    @property
    def unscaled(self) -> Clock:
        return self._unscaled or self


async def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
        # What wakes may sleep again before the clock stands still: let it run first.
        for _ in range(10):
            await asyncio.sleep(0)
