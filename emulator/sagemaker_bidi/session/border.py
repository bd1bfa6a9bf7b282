"""Where items cross: past the taps, along the lane, to what comes next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sagemaker_bidi.contract.frames import Frame, Part
from sagemaker_bidi.session.account import Way
from sagemaker_bidi.session.lane import Lane, Wait
from sagemaker_bidi.tap import (
    Direction,
    Item,
    Later,
    Passage,
    Raw,
    Side,
    Tap,
    TappedSession,
    size_of,
    unwrapped,
)
from sagemaker_bidi.transport.container import DATA

DROPPED = "dropped by a fault"
HELD = "held by a fault when the session ended"


class Border:
    """A session's taps: asked about what is about to cross, and told what has crossed.

    Args:
        session: what taps may see and command.
        taps: in the order in which they are asked.
    """

    def __init__(self, session: TappedSession, taps: Sequence[Tap]) -> None:
        self._session = session
        self._taps = taps

    @property
    def asks(self) -> bool:
        """Whether any tap wants to be asked at present."""
        return bool(self._taps) and any(not tap.idle for tap in self._taps)

    def tell(self, side: Side, direction: Direction, item: Item) -> None:
        """Something has crossed."""
        if self._taps:
            passage = Passage(self._session.clock.now(), side, direction, item)
            for tap in self._taps:
                tap.passed(self._session.id, passage)

    async def ask(self, side: Side, direction: Direction, item: Item) -> list[Item | Later]:
        """What crosses in the place of an item, after all taps have had their way."""
        items: list[Item | Later] = [item]
        for tap in self._taps:
            passed: list[Item | Later] = []
            for each in items:
                late, inner = unwrapped(each)
                passage = Passage(self._session.clock.now(), side, direction, inner)
                results = await tap.passing(self._session, passage)
                passed += results if late is None else late.followed_by(results)
            items = passed
        return items


class Crossing:
    """One way across the border.

    Where no tap asks and nothing is late, an item goes to the next step in a plain call. Only what
    a tap holds, or what is behind something late, takes a coroutine: the caller waits for that, so
    that nothing more is taken from its side, and never for what is already in the lane.

    Args:
        border: whose taps are asked.
        side, direction: where the items cross.
        way: the account of those that carry data.
        arrive: the next step, for an item and whether it is accounted for.
        failed: told of an error in what was late.
    """

    def __init__(
        self,
        border: Border,
        side: Side,
        direction: Direction,
        way: Way,
        arrive: Callable[[Item, bool], Wait],
        failed: Callable[[Exception], None],
    ) -> None:
        self._border = border
        self._side: Side = side
        self._direction: Direction = direction
        self._way = way
        self._arrive = arrive
        self.lane = Lane(arrive, self._lose, failed)

    def cross(self, item: Item) -> Wait:
        """Send an item across."""
        if self._border.asks or not self.lane.idle:
            return self._cross(item)
        return self._arrive(item, True)

    async def _cross(self, item: Item) -> None:
        counted = _carries_data(item)
        crossing: list[Item | Later] = [item]
        if self._border.asks:
            crossing = await self._ask(item, counted)
        rest = iter(crossing)
        try:
            for passing in rest:
                late, inner = unwrapped(passing)
                if late is not None or not self.lane.idle:
                    await self.lane.put(late, inner, counted)
                elif (wait := self._arrive(inner, counted)) is not None:
                    await wait
        finally:
            # Only where the session ended in the middle of them.
            for passing in rest:
                self._lose(unwrapped(passing)[1], counted)

    async def _ask(self, item: Item, counted: bool) -> list[Item | Later]:
        try:
            crossing = await self._border.ask(self._side, self._direction, item)
        except BaseException:
            self._lose(item, counted)
            raise
        if counted:
            inner = [unwrapped(each)[1] for each in crossing]
            sizes = [size_of(each) for each in inner if _carries_data(each)]
            self._way.replaced(size_of(item), sizes, DROPPED)
        return crossing

    def _lose(self, item: Item, counted: bool) -> None:
        if counted and _carries_data(item):
            self._way.lose(size_of(item), HELD)


def _carries_data(item: Item) -> bool:
    match item:
        case Frame(opcode):
            return opcode in DATA
        case Part() | Raw():
            return True
        case _:
            return False
