"""The whole way to the engine, and the audio that goes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from sagemaker_bidi import Emulator
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_client.audio import Audio
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.stream import Stream
from sagemaker_bidi_fixtures.engine.speech import SAMPLE_RATE
from tests.bridge.peers import settings_for

ENDPOINT = "voxtral"
SENTENCE = " The quick brown fox jumps over café, it costs 5€."
LIMIT_SECONDS = 60  # a bound for tests that would otherwise hang, never a wait


@dataclass(frozen=True)
class Way:
    """An emulator, and the bridge behind it."""

    emulator: Emulator
    bridge: BridgeServer

    def stream(self) -> AbstractAsyncContextManager[Stream]:
        """Open a stream with the SDK."""
        return open_stream(
            ENDPOINT,
            endpoint_url=self.emulator.url,
            region=self.emulator.region,
            ca=self.emulator.ca,
        )


@asynccontextmanager
async def way_to(url: str) -> AsyncIterator[Way]:
    """Put a bridge and an emulator in front of a vLLM, and test credentials in their place."""
    settings = settings_for(f"{url}/v1/realtime")
    async with (
        BridgeServer(settings) as bridge,
        Emulator({ENDPOINT: bridge.url}) as emulator,
    ):
        with emulator.environment():
            yield Way(emulator, bridge)


def audio_of(pcm16: bytes) -> Audio:
    """Wrap PCM16 audio of 16 kHz as the client wants it."""
    return Audio(pcm16, len(pcm16) / 2 / SAMPLE_RATE, SAMPLE_RATE, 1, "PCM_16")


def deltas_of(audio: Audio) -> int:
    """How many tokens vLLM says: one each 80 ms from 9,000 samples on, and 17 at the end."""
    return (len(audio.pcm) // 2 + 17 * 1_280 - 9_000) // 1_280 + 1
