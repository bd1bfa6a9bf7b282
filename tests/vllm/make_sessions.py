"""Records the real engine: `python -m tests.vllm.make_sessions` (after `make engine`).

The words are a toy model's, the protocol is vLLM's own.
"""

from __future__ import annotations

import asyncio

from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_client.audio import Audio
from sagemaker_bidi_client.realtime import append, commit, session_update
from sagemaker_bidi_client.stream import Stream
from sagemaker_bidi_client.transcription import Delivery, transcribe
from sagemaker_bidi_fixtures.engine.demo import demo_model
from tests.bridge.peers import settings_for
from tests.recordings.make_sessions import record, until

BRIDGED = "bridge and vLLM's engine with a toy model"
VLLM = "0.32.0, CPU build"
HARDWARE = "2 CPU cores, no GPU"


async def make() -> None:
    """Record each session anew."""
    async with (
        demo_model() as model,
        BridgeServer(settings_for(f"{model.url}/v1/realtime")) as bridge,
    ):

        async def sentence(stream: Stream) -> None:
            audio = Audio(model.pcm16, len(model.pcm16) / 32_000, 16_000, 1, "noise")
            await transcribe(audio, stream, Delivery(model=model.model))

        async def two_sentences(stream: Stream) -> None:
            await until(stream, "session.created")
            await stream.send_text(session_update(model.model))
            for _ in range(2):
                await stream.send_text(commit())
                for start in range(0, len(model.pcm16), 32_000):
                    await stream.send_text(append(model.pcm16[start : start + 32_000]))
                await stream.send_text(commit(final=True))
                await until(stream, "transcription.done")

        for name, talk in (("engine-sentence", sentence), ("engine-two-sentences", two_sentences)):
            await record(
                name,
                bridge.url,
                talk,
                provenance="real engine",
                container=BRIDGED,
                vllm=VLLM,
                hardware=HARDWARE,
            )


if __name__ == "__main__":
    asyncio.run(make())
