"""How long a message takes from hop to hop, by when each station received it.

Every message of a session passes client, emulator, bridge and model, one for one and in order
(F1), so the k-th message at one station is the k-th at the next. A hop's time includes what the
station at its end needs to take the message in.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from sagemaker_bidi.contract.frames import Frame
from sagemaker_bidi.tap import Passage, Tap
from sagemaker_bidi_bridge.observe import Kind, SessionEnd, SessionLog, Side
from sagemaker_bidi_client.errors import StreamError
from sagemaker_bidi_client.history import History
from sagemaker_bidi_client.stream import Opening, Stream

type Station = Literal["client", "emulator", "bridge", "model"]
type Way = Literal["up", "down"]

ROUTE: tuple[tuple[str, Station, Station], ...] = (
    ("SDK ⇄ emulator (HTTP/2)", "client", "emulator"),
    ("emulator ⇄ bridge (WebSocket)", "emulator", "bridge"),
    ("bridge ⇄ model (WebSocket)", "bridge", "model"),
)


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop's times in seconds, medians over the messages of a session.

    Args:
        name: for the table.
        up: from the client's side to the model's.
        down: back.
        messages: how many were measured, both ways.
    """

    name: str
    up: float
    down: float
    messages: int

    @property
    def round_trip(self) -> float:
        """There and back."""
        return self.up + self.down


class Stopwatch:
    """Notes when each station has each message; `time.perf_counter` for all of them."""

    def __init__(self) -> None:
        self._times: dict[tuple[Station, Way], list[float]] = defaultdict(list)

    def note(self, station: Station, way: Way, at: float | None = None) -> None:
        """The next message on its way is at this station."""
        self._times[station, way].append(time.perf_counter() if at is None else at)

    def hops(self) -> list[Hop]:
        """The hops on which messages were seen in both directions."""
        hops = []
        for name, near, far in ROUTE:
            up = self._between((near, "up"), (far, "up"))
            down = self._between((far, "down"), (near, "down"))
            if up and down:
                hops.append(
                    Hop(name, statistics.median(up), statistics.median(down), len(up) + len(down))
                )
        return hops

    def _between(self, start: tuple[Station, Way], end: tuple[Station, Way]) -> list[float]:
        # A message may be lost on the way at the end of a session, never in the middle of it.
        return [b - a for a, b in zip(self._times[start], self._times[end], strict=False)]


class TimedStream:
    """The client's stream (a `Channel` of `transcribe`), noted on its way out and in."""

    def __init__(self, stream: Stream, stopwatch: Stopwatch) -> None:
        self.history: History = stream.history
        self._stream = stream
        self._stopwatch = stopwatch

    async def opened(self) -> Opening:
        """See `Stream.opened`."""
        return await self._stream.opened()

    async def why_not_open(self) -> StreamError | None:
        """See `Stream.why_not_open`."""
        return await self._stream.why_not_open()

    async def send_text(self, text: str) -> None:
        """See `Stream.send_text`."""
        self._stopwatch.note("client", "up")
        await self._stream.send_text(text)

    async def receive_message(self) -> bytes | None:
        """See `Stream.receive_message`."""
        message = await self._stream.receive_message()
        if message is not None:
            self._stopwatch.note("client", "down")
        return message


class EmulatorTap(Tap):
    """A tap that notes the container's frames as they pass the emulator."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch

    def passed(self, session_id: str, passage: Passage) -> None:
        """Note a data frame to or from the container."""
        if passage.side == "container" and isinstance(passage.item, Frame):
            self._stopwatch.note("emulator", "up" if passage.direction == "sent" else "down")


class BridgeObserver:
    """The bridge's own session log, and a note of each message that it receives."""

    def __init__(self, session_id: str, stopwatch: Stopwatch) -> None:
        self._log = SessionLog(session_id)
        self._stopwatch = stopwatch

    def received(self, side: Side, size_bytes: int, kind: Kind) -> None:
        """Note a message."""
        self._stopwatch.note("bridge", "up" if side == "sagemaker" else "down")
        self._log.received(side, size_bytes, kind)

    def sent(self, side: Side, size_bytes: int, kind: Kind) -> None:
        """Pass on to the log."""
        self._log.sent(side, size_bytes, kind)

    def ended(self, end: SessionEnd) -> None:
        """Pass on to the log."""
        self._log.ended(end)


def model_observer(
    stopwatch: Stopwatch,
    at: float,
    direction: Literal["received", "sent"],
    event_type: str,
    sequence: int,
    session: int,
) -> None:
    """Note an event of the stand-in's; give it with the stopwatch bound."""
    stopwatch.note("model", "up" if direction == "received" else "down", at)
