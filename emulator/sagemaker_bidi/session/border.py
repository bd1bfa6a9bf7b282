"""Where messages cross: through the taps, onto the wire, into the account."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.frames import Frame, Opcode, Part, encode_part
from sagemaker_bidi.contract.outputs import CloseContainer
from sagemaker_bidi.session.account import Account, Way
from sagemaker_bidi.session.lane import Lane
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
    taken_apart,
)
from sagemaker_bidi.transport.container import DATA, Closed
from sagemaker_bidi.transport.http2.stream import Stream
from sagemaker_bidi.transport.link import Link

DROPPED = "dropped by a fault"
HELD = "held by a fault when the session ended"
TOO_LATE = "came after the session had ended"
NO_TEXT = "was a ModelStreamError frame (E4)"


class Border:
    """The emulator's border to a session's client and container.

    Args:
        session: what taps may see and command.
        stream: the client.
        container: the container.
        taps: told of what passes, and asked what shall pass.
        account: kept here.
        failed: told of an error in what was late.
    """

    def __init__(
        self,
        session: TappedSession,
        stream: Stream,
        container: Link,
        taps: Sequence[Tap],
        account: Account,
        failed: Callable[[Exception], None],
    ) -> None:
        self._session = session
        self._stream = stream
        self._container = container
        self._taps = taps
        self._account = account
        self._container_closed = False
        self._to_container = Lane(failed)
        self._from_container = Lane(failed)
        self._to_client = Lane(failed)
        stream.on_sent = account.output.delivered.count
        stream.on_dropped = lambda size: account.output.lose(size, TOO_LATE)
        container.on_sent = account.input.delivered.count
        container.on_dropped = account.input.lose
        container.on_late = self.came_too_late

    def received_part(self, part: Part) -> None:
        """A part has come from the client; the frame that carries it on follows."""
        self._tell("client", "received", part)

    def received_close(self, closed: Closed) -> None:
        """The container's connection has ended; 1005 and 1006 as RFC 6455 7.4.1 has them."""
        self._tell("container", "received", CloseContainer(closed.code, closed.reason))

    async def from_container(self, frame: Frame, see: Callable[[Frame], Awaitable[None]]) -> None:
        """A frame has come from the container; `see` is called with what crosses of it."""

        if not self._asks and self._from_container.idle:
            self._tell("container", "received", frame)
            await see(frame)
            return

        async def arrive(item: Item) -> None:
            assert isinstance(item, Frame)
            self._tell("container", "received", item)
            await see(item)

        way = self._account.output if frame.opcode in DATA else None
        await self._cross("container", "received", frame, way, self._from_container, arrive)

    async def to_container(self, item: Frame | CloseContainer) -> None:
        """Send to the container what the taps make of an item."""
        if isinstance(item, CloseContainer) and item.discard:
            self._to_container.drop()
        if not self._asks and self._to_container.idle:
            self.write_to_container(item)
            return

        async def arrive(item: Item) -> None:
            assert isinstance(item, Frame | CloseContainer)
            self.write_to_container(item)

        way = self._account.input if isinstance(item, Frame) and item.opcode in DATA else None
        await self._cross("container", "sent", item, way, self._to_container, arrive)

    async def to_client(self, item: Part | StreamError) -> None:
        """Send to the client what the taps make of an item."""
        if not self._asks and self._to_client.idle:
            self.write_to_client(item)
            return
        way = self._account.output if isinstance(item, Part) else None

        async def arrive(item: Item) -> None:
            assert isinstance(item, Part | StreamError | Raw)
            self.write_to_client(item, counted=way is not None)

        await self._cross("client", "sent", item, way, self._to_client, arrive)

    async def container_caught_up(self) -> None:
        """Wait until all that the container has sent has crossed."""
        await self._from_container.caught_up()

    async def client_caught_up(self) -> None:
        """Wait until nothing for the client is on its way."""
        await self._to_client.caught_up()

    @property
    def late_for_container(self) -> bool:
        """Whether something for the container is on its way."""
        return not self._to_container.idle

    async def container_reached(self) -> None:
        """Wait until nothing for the container is on its way."""
        await self._to_container.caught_up()

    async def close(self) -> None:
        """The session is over: what is still on its way to either side is lost."""
        for lane in (self._from_container, self._to_container, self._to_client):
            await lane.close()
        if not self._container_closed:
            # It has closed itself, or a fault has held the Close frame: no frame waits any more.
            self._container_closed = True
            self._container.close(1001, "the session is over", discard=True)

    async def _cross(
        self,
        side: Side,
        direction: Direction,
        item: Item,
        way: Way | None,
        lane: Lane,
        arrive: Callable[[Item], Awaitable[None]],
    ) -> None:
        passed: list[Item | Later] = [item]
        if self._asks:
            passed = list(await self._ask(side, direction, item, way))
        try:
            while passed:
                late, crossing = taken_apart(passed.pop(0))
                if late is None and lane.idle:
                    await arrive(crossing)
                else:
                    await lane.put(
                        late,
                        size_of(crossing),
                        functools.partial(arrive, crossing),
                        functools.partial(_lose, way, crossing),
                    )
        finally:
            # Only where the session ended in the middle of them.
            for left in passed:
                _lose(way, taken_apart(left)[1])

    def write_to_container(self, item: Frame | CloseContainer) -> None:
        """Send an item to the container, past the taps."""
        if isinstance(item, CloseContainer):
            self._container_closed = True
            self._container.close(item.code, item.reason, discard=item.discard)
        else:
            self._container.send(item)
        self._tell("container", "sent", item)

    def write_to_client(self, item: Part | StreamError | Raw, *, counted: bool = True) -> None:
        """Send an item to the client, past the taps.

        Args:
            counted: whether a `Raw` stands for a part of the container's.
        """
        match item:
            case Part():
                self._stream.send(encode_part(item), len(item.payload))
            case StreamError():
                self._stream.send(item.encode().encode())
            case Raw(data):
                self._stream.send(data, len(data) if counted else None)
        self._tell("client", "sent", item)

    def came_too_late(self, size: int) -> None:
        """Output has come from the container that the session can take no more."""
        self._account.output.accepted.count(size)
        self._account.output.lose(size, TOO_LATE)

    @property
    def _asks(self) -> bool:
        return bool(self._taps) and any(not tap.idle for tap in self._taps)

    async def _ask(
        self, side: Side, direction: Direction, item: Item, way: Way | None
    ) -> Sequence[Item | Later]:
        items: Sequence[Item | Later] = (item,)
        try:
            for tap in self._taps:
                passed: list[Item | Later] = []
                for each in items:
                    late, inner = taken_apart(each)
                    at = self._session.clock.now()
                    passage = Passage(at, side, direction, inner)
                    results = await tap.passing(self._session, passage)
                    passed += results if late is None else late.followed_by(results)
                items = passed
        except BaseException:
            if way is not None:
                way.lose(size_of(item), HELD)
            raise
        if way is not None:
            crossing = [taken_apart(each)[1] for each in items]
            sizes = [size_of(each) for each in crossing if _counts(each)]
            way.replaced(size_of(item), sizes, DROPPED)
        return items

    def _tell(self, side: Side, direction: Direction, item: Item) -> None:
        if self._taps:
            passage = Passage(self._session.clock.now(), side, direction, item)
            for tap in self._taps:
                tap.passed(self._session.id, passage)


def _lose(way: Way | None, item: Item) -> None:
    if way is not None and _counts(item):
        way.lose(size_of(item), HELD)


def _counts(item: Item) -> bool:
    match item:
        case Frame(opcode):
            return opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
        case Part() | Raw():
            return True
        case _:
            return False
