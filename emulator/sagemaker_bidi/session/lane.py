"""A slow line across the border: what is on its way, in order, each until its time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sagemaker_bidi.tap import Item, Later, size_of

# What a line holds before the side that sends is slowed down, bytes.
CAPACITY = 1024 * 1024
# Empty messages take room too.
OVERHEAD = 64

# What a step still waits for; None where it is done. A step that need not wait costs no coroutine.
type Wait = Awaitable[None] | None


@dataclass(frozen=True, slots=True)
class _OnItsWay:
    later: Later | None
    item: Item
    counted: bool

    @property
    def size(self) -> int:
        return size_of(self.item) + OVERHEAD


class Lane:
    """One direction of a session. It costs nothing as long as nothing is late.

    Args:
        arrive: what happens at the other end to an item, and whether it is accounted for.
        lose: what happens if it never gets there.
        failed: told of an error on arrival.
    """

    def __init__(
        self,
        arrive: Callable[[Item, bool], Wait],
        lose: Callable[[Item, bool], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._arrive = arrive
        self._lose = lose
        self._failed = failed
        self._queue: deque[_OnItsWay] = deque()
        self._size = 0
        self._room = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._carrier: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return self._empty.is_set()

    async def put(self, later: Later | None, item: Item, counted: bool) -> None:
        """Send something; waits while the line is full.

        Args:
            later: its time; None for what is only behind something late.
            item: what is sent.
            counted: whether it is accounted for.
        """
        try:
            while self._size > CAPACITY:
                self._room.clear()
                await self._room.wait()
        except BaseException:
            self._lose(item, counted)
            raise
        sent = _OnItsWay(later, item, counted)
        self._queue.append(sent)
        self._size += sent.size
        self._empty.clear()
        if self._carrier is None:
            self._carrier = asyncio.create_task(self._carry(), name="lane")

    async def caught_up(self) -> None:
        """Wait until nothing is on its way."""
        await self._empty.wait()

    def drop(self) -> None:
        """Lose all that is on its way."""
        if self._carrier is not None:
            self._carrier.cancel()
            self._carrier = None
        while self._queue:
            lost = self._take()
            self._lose(lost.item, lost.counted)
        self._room.set()
        self._empty.set()

    async def close(self) -> None:
        """Lose all that is on its way, and carry nothing more."""
        carrier = self._carrier
        self.drop()
        if carrier is not None:
            await asyncio.gather(carrier, return_exceptions=True)

    async def _carry(self) -> None:
        try:
            while self._queue:
                first = self._queue[0]
                if first.later is not None:
                    await first.later.due()
                if self._queue and self._queue[0] is first:
                    self._take()
                    if (wait := self._arrive(first.item, first.counted)) is not None:
                        await wait
        except Exception as error:
            self._failed(error)
        finally:
            if self._carrier is asyncio.current_task():
                self._carrier = None
                self._empty.set()

    def _take(self) -> _OnItsWay:
        taken = self._queue.popleft()
        self._size -= taken.size
        self._room.set()
        return taken
