"""One side of a recorded session, played again to whoever is the other one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.frames import Frame
from sagemaker_bidi.recordings.script import Assembly, Heard, Said


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a recording is played.

    Whatever the pace, a side says nothing before it has heard what it had heard in the recording:
    the other one may be slower than the recorded one.

    Args:
        speed: times as fast as it was recorded; 0 for as fast as it goes.
        patience: seconds to wait for what was recorded.
    """

    speed: float = 1.0
    patience: float = 30.0


class Side:
    """Says what a side had said, once the other one has said what preceded it.

    Args:
        script: what it says.
        pace: how fast.
        clock: what the waiting asks.
        final: deltas are not waited for: there may be more or fewer of them each time.
        patience: seconds to wait for the other side; None for as long as it stays.
    """

    def __init__(
        self,
        script: Sequence[Said],
        pace: Pace,
        clock: Clock,
        *,
        final: bool = False,
        patience: float | None = None,
    ) -> None:
        self.heard = Assembly()
        self.said = 0
        self.over = False
        self._script = script
        self._pace = pace
        self._clock = clock
        self._final = final
        self._patience = patience
        self._start = clock.now()
        self._changed = asyncio.Event()

    def receive(self, frame: Frame) -> None:
        """The other side has said something."""
        self.heard.receive(frame)
        self._changed.set()

    def end(self) -> None:
        """The other side has gone."""
        self.over = True
        self._changed.set()

    def counted(self, heard: Heard) -> int:
        """How many messages were heard, of those that are waited for."""
        return heard.final if self._final else heard.messages

    async def has_heard(self, heard: Heard) -> bool:
        """Wait until so much has been heard; false where the other side ended first, or is slow."""
        expected = self.counted(heard)
        await self.until(lambda: self.over or self.counted(self.heard.heard) >= expected)
        return self.counted(self.heard.heard) >= expected

    async def until(self, condition: Callable[[], bool]) -> bool:
        """Wait until a condition on what the other side has done holds; says whether it does."""
        with contextlib.suppress(TimeoutError):
            async with self._clock.unscaled.within(self._patience):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        return condition()

    async def time_for(self, seconds: float) -> None:
        """Wait until what was recorded at `seconds` is due, where the pace is that of a clock."""
        if self._pace.speed:
            await self._clock.sleep_until(self._start + seconds / self._pace.speed)

    async def speak(self, send: Callable[[Frame], Awaitable[object]]) -> Said | None:
        """Say everything.

        Returns:
            What was not said, as what precedes it was not heard, or the other side is gone; None
            where all has been said.
        """
        for said in self._script:
            if not await self.has_heard(said.heard):
                return said
            if not self.over:
                await self.time_for(said.seconds)
            if self.over:
                return said
            await send(said.frame)
            self.said += 1
        return None
