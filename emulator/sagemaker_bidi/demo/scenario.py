"""`bidi demo --scenario NAME`: the demo's audio under a scenario, both sides on one timeline."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sagemaker_bidi.clock import ScaledClock
from sagemaker_bidi.config import load_config
from sagemaker_bidi.contract.health import Status
from sagemaker_bidi.demo.run import ACCEPT_SECONDS, ENDPOINT, bridge_settings
from sagemaker_bidi.emulator import Emulator
from sagemaker_bidi.scenarios import scenario
from sagemaker_bidi.scenarios.apply import apply
from sagemaker_bidi.shown import plain
from sagemaker_bidi.timeline.timeline import Moment, Timeline
from sagemaker_bidi_bridge.observe import Kind, SessionEnd, SessionLog, Side
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_client import events
from sagemaker_bidi_client.audio import Audio
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.errors import StreamError
from sagemaker_bidi_client.events import Event
from sagemaker_bidi_client.stream import Stream
from sagemaker_bidi_client.transcription import Delivery, transcribe
from sagemaker_bidi_fixtures.vllm.server import StandInVLLM
from sagemaker_bidi_fixtures.vllm.sessions import Observer

# The client's own doing: here the demo's client closes its input behind the last audio.
CLOSES_EARLY = "half-close-discards"
# As small as the protocol's own, so that the demo's few seconds of audio can fill it.
STREAM_WINDOW = 65_535
# How long the demo's client waits for what does not come, in seconds of real time.
PATIENCE = 4.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of it.

    Args:
        name: the scenario, as it was asked for.
        timeline: both sides.
        time_scale: of the emulator's clock, and of the timeline.
        expected: words of the audio, where they are known.
        heard: words that the client got.
    """

    name: str
    timeline: Timeline
    time_scale: float
    expected: str | None
    heard: str


async def run_scenario(
    name: str,
    audio: Audio,
    expected: str | None,
    *,
    port: int,
) -> Shown:
    """Stream `audio` the whole way through while a scenario is in force.

    Args:
        name: of the catalogue, or a file; see `sagemaker_bidi.scenarios.apply`.
        expected: the words of the audio, where they are known.
        port: the emulator's port; 0 takes a free one.

    Raises:
        ScenarioError: there is no such scenario, or it cannot be shown so.
        PortTaken: the port is in use.
    """
    scale = _time_scale(name)
    base = {
        "port": port,
        "contract": {"accept_seconds": ACCEPT_SECONDS},
        "http2": {"stream_window": STREAM_WINDOW},
    }
    config, plans = apply(load_config(overrides=base), [name])
    clock = ScaledClock(scale)
    timeline = Timeline(clock.now, data=False, run_seconds=scale)
    async with (
        StandInVLLM(port=0, observer=_model_observer(timeline)) as model,
        BridgeServer(
            bridge_settings(model.url),
            lambda session_id: _BridgeObserver(session_id, timeline),
        ) as bridge,
        Emulator(
            {ENDPOINT: bridge.url}, config=config, plans=plans, taps=[timeline], clock=clock
        ) as emulator,
    ):
        while config.ping == "slow" and Status.IN_SERVICE in emulator.status(ENDPOINT).values():
            await clock.sleep_until(clock.now() + 1)
        timeline.begin()
        talk = _Talk(emulator, audio, timeline, scale, closes_early=name == CLOSES_EARLY)
        with emulator.environment():
            await talk.run()
        heard = talk.heard
    return Shown(name, timeline, scale, expected, heard)


def _time_scale(name: str) -> float:
    plain = name.partition(":")[0]
    if plain.endswith(".toml") or "/" in plain:
        return 1.0
    return scenario(plain).time_scale


class _Talk:
    """The demo's client, which notes what it sees."""

    def __init__(
        self,
        emulator: Emulator,
        audio: Audio,
        timeline: Timeline,
        scale: float,
        *,
        closes_early: bool,
    ) -> None:
        self.heard = ""
        self._emulator = emulator
        self._audio = audio
        self._timeline = timeline
        self._scale = scale
        self._closes_early = closes_early
        self._all_sent = asyncio.Event()

    async def run(self) -> None:
        """Stream the audio; stay on for what the clock does after it."""
        emulator = self._emulator
        pace = Delivery(open_timeout=PATIENCE, send_timeout=PATIENCE, final_timeout=PATIENCE)
        try:
            async with open_stream(
                ENDPOINT, endpoint_url=emulator.url, region=emulator.region, ca=emulator.ca
            ) as stream:
                closing = asyncio.create_task(self._close_early(stream))
                try:
                    await transcribe(self._audio, stream, pace, on_event=self._note)
                finally:
                    closing.cancel()
                if self._scale > 1:
                    await self._wait_for_end(stream)
        except StreamError as error:
            self._timeline.note("client", f"{type(error).__name__}: {error.what}")

    def _note(self, event: Event) -> None:
        match event:
            case events.StreamOpen():
                self._timeline.note("client", "stream open")
            case events.ChunkSent(index=index, total=total):
                self._timeline.note("client", "sent audio")
                if index == total - 1:
                    self._all_sent.set()
            case events.Delta(text=text):
                self.heard += text
                self._timeline.note("client", "received words", text=text)
            case events.Done():
                self._timeline.note("client", "received the final transcript")
            case _:
                pass

    async def _close_early(self, stream: Stream) -> None:
        await self._all_sent.wait()
        if self._closes_early:
            self._timeline.note("client", "closes its input")
            await stream.close()

    async def _wait_for_end(self, stream: Stream) -> None:
        limit = self._emulator.config.contract_settings().lifetime / self._scale
        try:
            async with asyncio.timeout(limit + PATIENCE):
                while await stream.receive_message() is not None:
                    pass
            self._timeline.note("client", "end of the stream")
        except TimeoutError:
            self._timeline.note("client", "nothing more; gives up")


class _BridgeObserver:
    """Notes how the container's side ended."""

    def __init__(self, session_id: str, timeline: Timeline) -> None:
        self._log = SessionLog(session_id)
        self._timeline = timeline

    def received(self, side: Side, size_bytes: int, kind: Kind) -> None:
        """Pass on to the log."""
        self._log.received(side, size_bytes, kind)

    def sent(self, side: Side, size_bytes: int, kind: Kind) -> None:
        """Pass on to the log."""
        self._log.sent(side, size_bytes, kind)

    def ended(self, end: SessionEnd) -> None:
        """Note it, and pass it on to the log."""
        self._timeline.note("container", f"bridge: session ended by {end.ended_by}")
        self._log.ended(end)


def _model_observer(timeline: Timeline) -> Observer:
    def observe(
        at: float,
        direction: Literal["received", "sent"],
        event_type: str,
        sequence: int,
        session: int,
    ) -> None:
        timeline.note("container", f"{direction} {event_type}")

    return observe


def show_scenario(console: Console, shown: Shown) -> None:
    """Print both sides on one timeline, and how the emulator says that it ended."""
    scale = f", {shown.time_scale:g} times as fast" if shown.time_scale != 1 else ""
    table = Table(title=f"{shown.name}{scale}", title_justify="left", box=SIMPLE)
    table.add_column("s", justify="right", no_wrap=True)
    table.add_column("client (AWS SDK)", ratio=1)
    table.add_column("container (bridge and model)", ratio=1)
    for moment in sorted(shown.timeline.moments, key=lambda each: each.at):
        cell = _cell(moment)
        left, right = (cell, "") if moment.column == "client" else ("", cell)
        table.add_row(f"{moment.at:.3f}", left, right)
    console.print(table)
    for refusal in shown.timeline.refusals:
        console.print(
            f"refused with {refusal.status} {refusal.type} ({refusal.clause})", markup=False
        )
    for ending in shown.timeline.endings:
        if ending is not None:
            console.print(
                f"ended by the {ending.by} ({ending.clause}): {plain(ending.why)}", markup=False
            )
    if shown.expected is not None and shown.heard.strip() != shown.expected:
        console.print(f"said:  {shown.expected}", markup=False)
        console.print(f"heard: {plain(shown.heard.strip()) or '(nothing)'}", markup=False)


def _cell(moment: Moment) -> Text:
    text = moment.what
    if moment.count > 1:
        text += f" ({moment.count} until {moment.until:.3f})"
    if moment.size:
        text += f", {moment.size:,} bytes"
    words = moment.text.strip()
    return Text(f"{text}: {words}" if words else text)
