"""The way of a session's items: from one socket, through the rules, past the taps, to the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from h2.errors import ErrorCodes

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.frames import Frame, Opcode, Part, encode_part
from sagemaker_bidi.contract.outputs import (
    CloseContainer,
    EndStream,
    Output,
    SendError,
    SendFrame,
    SendPart,
)
from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.session.account import Account
from sagemaker_bidi.session.border import HELD, Border, Crossing
from sagemaker_bidi.session.lane import Wait
from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.tap import Item, Raw
from sagemaker_bidi.transport.container import DATA
from sagemaker_bidi.transport.deliveries import TOO_LATE
from sagemaker_bidi.transport.http2.stream import Stream
from sagemaker_bidi.transport.link import Link

logger = logger_named("bidi.session")

NO_TEXT = "was a ModelStreamError frame (E4)"


class Relay:
    """Carries out what the rules say, without a task or a timer of its own.

    Each step calls the next and none calls back: a frame crosses the border, the rules make
    outputs of it, each output crosses the border on the other side and is written. As long as no
    tap asks and nothing is late this is one plain call from socket to socket, and returns None. A
    step that must wait returns what it waits for, and so does each before it: nothing more is
    taken from that side until the caller has awaited it.

    Args:
        session_id: the request id, for logs.
        session: the rules.
        stream: the client.
        container: the container.
        border: whose taps look on.
        account: kept here.
        clock: the emulator's.
    """

    def __init__(
        self,
        session_id: str,
        session: Session,
        stream: Stream,
        container: Link,
        border: Border,
        account: Account,
        clock: Clock,
    ) -> None:
        self.ended = asyncio.Event()
        self.failure: Exception | None = None
        self._id = session_id
        self._session = session
        self._stream = stream
        self._container = container
        self._border = border
        self._account = account
        self._clock = clock
        self._container_closed = False
        stream.deliveries = account.output
        container.deliveries = account.input
        self._from_container = Crossing(
            border, "container", "received", account.output, self._receive, self._fail
        )
        self._to_container = Crossing(
            border, "container", "sent", account.input, self.write_to_container, self._fail
        )
        self._to_client = Crossing(
            border, "client", "sent", account.output, self.write_to_client, self._fail
        )

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self.ended.set()

    # From the container to the rules.

    def receive_frame(self, frame: Frame) -> Wait:
        """A frame has come from the container."""
        if frame.opcode in DATA:
            if self._session.ending is not None:
                self._account.output.too_late(len(frame.payload))
                return None
            self._account.output.accepted.count(len(frame.payload))
        return self._from_container.cross(frame)

    async def receive_frames(self, frames: Sequence[Frame]) -> None:
        """Frames have come from the container at once."""
        rest = iter(frames)
        try:
            for frame in rest:
                if (wait := self.receive_frame(frame)) is not None:
                    await wait
        finally:
            # Only where the session ended, and this was cancelled, in the middle of them.
            for frame in rest:
                if frame.opcode in DATA:
                    self._account.output.too_late(len(frame.payload))

    def _receive(self, frame: Item, counted: bool) -> Wait:
        assert isinstance(frame, Frame)
        self._border.tell("container", "received", frame)
        why = NO_TEXT if self._session.ending is None else TOO_LATE
        outputs = self._session.receive_frame(frame, self._clock.now())
        if frame.opcode in DATA and not any(isinstance(output, SendPart) for output in outputs):
            self._account.output.lose(len(frame.payload), why)
        return self.perform(outputs)

    # From the rules to the wires.

    def perform(self, outputs: Sequence[Output]) -> Wait:
        """Do what the rules want done, in order."""
        # What ends a session is the last of what is to be done.
        ends = bool(outputs) and isinstance(outputs[-1], CloseContainer | EndStream)
        rest = iter(outputs)
        for output in rest:
            self._accept(output)
            if (wait := self._perform(output)) is not None:
                return self._perform_rest(wait, list(rest), ends)
        if ends:
            self.ended.set()
        return None

    async def _perform_rest(
        self, first: Awaitable[None], outputs: Sequence[Output], ends: bool
    ) -> None:
        """Wait for the output that has to, then do the rest."""
        # All of them have come by now, however long the first is held.
        for output in outputs:
            self._accept(output)
        rest = iter(outputs)
        try:
            await first
            for output in rest:
                if (wait := self._perform(output)) is not None:
                    await wait
        finally:
            for output in rest:
                if isinstance(output, SendFrame) and output.frame.opcode in DATA:
                    self._account.input.lose(len(output.frame.payload), HELD)
            if ends:
                self.ended.set()

    def _accept(self, output: Output) -> None:
        """A part has come from the client; the frame that carries it on follows."""
        if isinstance(output, SendFrame) and output.part is not None:
            self._account.input.accepted.count(len(output.frame.payload))
            self._border.tell("client", "received", output.part)

    def _perform(self, output: Output) -> Wait:
        match output:
            case SendFrame(frame):
                if frame.opcode is Opcode.PING:
                    self._log_ping()
                return self._to_container.cross(frame)
            case SendPart(part):
                return self._to_client.cross(part)
            case SendError(error):
                return self._to_client.cross(error)
            case CloseContainer():
                if output.discard:
                    self._to_container.lane.drop()
                return self._to_container.cross(output)
            case EndStream(reset):
                if not self._to_client.lane.idle:
                    return self._end_stream_behind(reset=reset)
                self.end_stream(reset=reset)
                return None

    async def _end_stream_behind(self, *, reset: bool) -> None:
        await self._to_client.lane.caught_up()
        self.end_stream(reset=reset)

    def perform_at_once(self, outputs: Sequence[Output]) -> None:
        """What ends a session from outside goes past the taps: nothing may hold it."""
        for output in outputs:
            match output:
                case SendError(error):
                    self.write_to_client(error)
                case CloseContainer():
                    self.write_to_container(output)
                case EndStream(reset):
                    self.end_stream(reset=reset)
                case _:
                    raise TypeError(f"{type(output).__name__} ends nothing")
        self.ended.set()

    def _log_ping(self) -> None:
        unanswered = self._session.unanswered_pings - 1
        if unanswered:
            logger.warning(
                "%s: the container has not answered %d pings in a row (K1)", self._id, unanswered
            )

    # The wires, past the taps.

    def write_to_container(self, item: Item, counted: bool = True) -> None:
        """Send a frame, or the end, to the container."""
        if isinstance(item, CloseContainer):
            self._container_closed = True
            self._container.close(item.code, item.reason, discard=item.discard)
        else:
            assert isinstance(item, Frame)
            self._container.send(item)
        self._border.tell("container", "sent", item)

    def write_to_client(self, item: Item, counted: bool = True) -> None:
        """Send a part, an error or raw bytes to the client.

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
            case _:
                raise TypeError(f"a client is not sent a {type(item).__name__}")
        self._border.tell("client", "sent", item)

    def end_stream(self, *, reset: bool) -> None:
        """End the client's stream."""
        self._stream.end(ErrorCodes.INTERNAL_ERROR if reset else None)

    # The end.

    async def container_caught_up(self) -> None:
        """Wait until all that the container has sent has crossed."""
        await self._from_container.lane.caught_up()

    async def container_reached(self) -> None:
        """Wait until nothing for the container is on its way."""
        await self._to_container.lane.caught_up()

    async def close(self) -> None:
        """The session is over: what is still on its way to either side is lost."""
        for crossing in (self._from_container, self._to_container, self._to_client):
            await crossing.lane.close()
        if not self._container_closed:
            # It has closed itself, or a fault has held the Close frame: no frame waits any more.
            self._container_closed = True
            self._container.close(1001, "the session is over", discard=True)
