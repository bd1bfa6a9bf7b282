"""What looks at a session from the side, and may disturb it: the one interface for all taps.

A tap sees each message and frame at the emulator's border, in both directions, with its time. It
may pass it on, hold it for a while, change it, drop it, add to it, or end the session. A tap that
only looks overrides the methods that tell it something and leaves `passing` alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from h2.errors import ErrorCodes

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.errors import Refusal, StreamError
from sagemaker_bidi.contract.frames import Frame, Part
from sagemaker_bidi.contract.outputs import CloseContainer, Ending

type Side = Literal["client", "container"]
type Direction = Literal["received", "sent"]
type Point = Literal["opening", "opened", "to-container", "from-container", "to-client"]


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes for the client as they are, in place of an encoded message."""

    data: bytes


type Item = Part | StreamError | Raw | Frame | CloseContainer


def size_of(item: Item) -> int:
    """Payload bytes of an item; all bytes of a `Raw`."""
    match item:
        case Frame(payload=payload) | Part(payload=payload) | Raw(data=payload):
            return len(payload)
        case _:
            return 0


@dataclass(frozen=True, slots=True)
class Later:
    """An item that crosses when its time has come; what comes behind it waits without a stop.

    Args:
        item: what crosses.
        at: when, seconds of the emulator's clock; infinity where nothing says so.
        waits: what to wait for, one after the other; each may be cut short.
    """

    item: Item
    at: float
    waits: tuple[Callable[[], Awaitable[object]], ...]

    async def due(self) -> None:
        """Wait until it may cross."""
        for wait in self.waits:
            await wait()

    def followed_by(self, results: Sequence[Item | Later]) -> list[Item | Later]:
        """What a rule or a tap made of the item, on its way for as long as the item is."""
        return [
            Later(each.item, max(self.at, each.at), (*self.waits, *each.waits))
            if isinstance(each, Later)
            else Later(each, self.at, self.waits)
            for each in results
        ]


def unwrapped(item: Item | Later) -> tuple[Later | None, Item]:
    """What makes an item late, if anything does, and the item itself."""
    return (item, item.item) if isinstance(item, Later) else (None, item)


@dataclass(frozen=True, slots=True)
class Passage:
    """Something at the emulator's border.

    Args:
        at: seconds of the emulator's clock.
        side: whose border it is.
        direction: seen from the emulator.
        item: what it is. To the container go `Frame` and `CloseContainer`, from it come `Frame`
            and, at its end, `CloseContainer`; to the client go `Part`, `StreamError` and `Raw`,
            from it comes `Part`. `passing` is asked about frames both ways and what the client
            is sent; `passed` is told everything.
    """

    at: float
    side: Side
    direction: Direction
    item: Item


class Wire(Protocol):
    """What a tap may command of a client's HTTP/2 stream and connection."""

    def reset_stream(self, code: ErrorCodes) -> None:
        """Send RST_STREAM (RFC 9113 6.4)."""

    def goaway(self, code: ErrorCodes) -> None:
        """Send GOAWAY on the connection (RFC 9113 6.8)."""

    def abort_client(self) -> None:
        """Reset the client's TCP connection."""

    def silence_client(self, until: asyncio.Event) -> None:
        """Neither read nor write the client's connection `until` then: a network gone dead."""

    def withhold_window(self, withheld: bool) -> None:
        """Stop, or go on, crediting the client's window (RFC 9113 5.2)."""


class Attempt(Wire, Protocol):
    """An invocation before its stream is open. `Refused`, raised by a tap, refuses it."""

    @property
    def id(self) -> str:
        """The request id."""

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""

    @property
    def variant(self) -> str:
        """The variant's name."""

    @property
    def container_path(self) -> str:
        """Path and query of the container's WebSocket (O2)."""

    @property
    def target(self) -> str:
        """Address of the container, or of the endpoint that stands in for one."""

    @property
    def user_agent(self) -> str:
        """What the client says it is."""

    @property
    def clock(self) -> Clock:
        """What all waiting asks."""


class TappedSession(Attempt, Protocol):
    """An open session, as a tap may see and command it."""

    @property
    def opened_at(self) -> float:
        """When the stream opened, seconds of the emulator's clock."""

    def send_to_client(self, item: Part | StreamError | Raw) -> None:
        """Add something for the client."""

    def send_to_container(self, frame: Frame) -> None:
        """Add a frame for the container."""

    def end(self, error: StreamError | None, why: str) -> None:
        """End the session; the container gets a Close 1001.

        Args:
            error: for the client; None ends the response as if all had been said.
            why: for the developer.
        """

    async def flushed(self) -> None:
        """Wait, a second at most, until what is queued for the client has been written."""

    def container_closed(self, code: int, reason: str) -> None:
        """Go on as if the container had closed with this code (E1, E2); its socket is closed."""

    def abort_container(self) -> None:
        """Drop the container's connection, as if it had died (E6)."""

    def stop_reading_container(self, stopped: bool) -> None:
        """Leave what the container sends in its socket, or go on reading it."""

    def receive_pong(self, pong: Frame) -> None:
        """Take a pong as if the container had sent it now (K1)."""

    def receive_metering(self, frame: Frame) -> None:
        """Take a metering frame as if the container had sent it on its metadata stream (M2)."""

    def ignore_pings(self, ignored: bool) -> None:
        """Leave the container's pings unanswered, or answer them again (F5)."""


class Tap:
    """A tap that passes everything on; override what you need."""

    @property
    def idle(self) -> bool:
        """Whether `passing` has nothing to do at present, so that it need not be asked."""
        return type(self).passing is Tap.passing

    async def opening(self, attempt: Attempt) -> None:
        """An invocation was checked; its container has not been asked yet.

        Raises:
            Refused: to refuse it.
        """

    def opened(self, session: TappedSession) -> None:
        """The stream is open: the client has been sent its 200."""

    async def passing(self, session: TappedSession, passage: Passage) -> Sequence[Item | Later]:
        """Something is about to cross; return what crosses in its place, in order.

        Until this returns nothing more is taken from that side; `Later` is on its way meanwhile.
        """
        return (passage.item,)

    def passed(self, session_id: str, passage: Passage) -> None:
        """Something has crossed, after all taps have had their way. Must not block."""

    def refused(self, session_id: str, refusal: Refusal, at: float) -> None:
        """An invocation was refused: no stream was opened for it."""

    def abandoned(self, session_id: str, why: str, at: float) -> None:
        """The client was gone, or was cut off, before its stream opened: it got no answer."""

    def ended(self, session_id: str, ending: Ending | None, at: float) -> None:
        """The session is over; None if it failed inside the emulator."""
