"""Starts emulator, bridge and a model, and streams speech through them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from sagemaker_bidi.config import load_config
from sagemaker_bidi.demo.hops import (
    BridgeObserver,
    EmulatorTap,
    Hop,
    Stopwatch,
    TimedStream,
)
from sagemaker_bidi.demo.models import Model
from sagemaker_bidi.emulator import Emulator
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_bridge.settings import Settings as BridgeSettings
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.events import Event, Result
from sagemaker_bidi_client.transcription import Delivery, transcribe

ENDPOINT = "voxtral"
# Seconds that bridge and container may take to accept. SageMaker gives 0.25 (O3): a machine that is
# busy for a moment would miss it, and this is no test of the machine.
ACCEPT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a demo.

    Args:
        result: transcript and timing.
        expected: the words of the recording; None for audio that the project does not know.
        hops: the times of the hops.
    """

    result: Result
    expected: str | None
    hops: list[Hop]

    @property
    def passed(self) -> bool:
        """Whether the transcript is the words of the recording, where they are known."""
        return self.expected is None or self.result.text.strip() == self.expected.strip()


@dataclass(frozen=True, slots=True)
class Stations:
    """Where everything listens."""

    emulator: str
    bridge: str
    model: str


def bridge_settings(vllm_url: str) -> BridgeSettings:
    """The bridge of a demo, on a free port, before a vLLM at "ws://HOST:PORT"."""
    return BridgeSettings(
        backend_url=f"{vllm_url}/v1/realtime",
        host="127.0.0.1",
        port=0,
        open_timeout_ms=round(ACCEPT_SECONDS * 1_000),
    )


async def run_demo(
    model: AbstractAsyncContextManager[Model],
    stopwatch: Stopwatch,
    *,
    port: int,
    on_ready: Callable[[Stations, Model], None],
    on_event: Callable[[Event], None],
) -> Outcome:
    """Stream a model's speech the whole way through and return what came of it.

    Args:
        model: starts the model.
        stopwatch: notes when each station has each message.
        port: the emulator's port; 0 takes a free one.
        on_ready: called when everything listens.
        on_event: called for each event of the client's as it happens.

    Raises:
        PortTaken: the port is in use.
        StreamError: the stream failed.
    """
    async with (
        model as running,
        BridgeServer(
            bridge_settings(running.url),
            lambda session_id: BridgeObserver(session_id, stopwatch),
        ) as bridge,
        Emulator(
            {ENDPOINT: bridge.url},
            config=load_config(
                overrides={"port": port, "contract": {"accept_seconds": ACCEPT_SECONDS}}
            ),
            taps=[EmulatorTap(stopwatch)],
        ) as emulator,
    ):
        on_ready(Stations(emulator.url, bridge.url, running.url), running)
        with emulator.environment():
            async with open_stream(
                ENDPOINT, endpoint_url=emulator.url, region=emulator.region, ca=emulator.ca
            ) as stream:
                result = await transcribe(
                    running.speech.audio,
                    TimedStream(stream, stopwatch),
                    Delivery(),
                    on_event=on_event,
                )
    return Outcome(result, running.speech.words, stopwatch.hops())
