"""What a client sees when the engine hangs or dies under its stream: not the same, each time.

The tests that kill come last: the next one that wants the engine has to start it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sagemaker_bidi_client import events
from sagemaker_bidi_client.audio import Audio
from sagemaker_bidi_client.errors import (
    ModelError,
    RequestRefused,
    StreamBroken,
    StreamError,
    TranscriptMissing,
)
from sagemaker_bidi_client.transcription import Delivery, transcribe
from sagemaker_bidi_fixtures.engine.server import MODEL, VLLMEngine
from tests.vllm.way import LIMIT_SECONDS, SENTENCE, Way

pytestmark = pytest.mark.vllm

# The client's own patience, small: vLLM itself would keep it waiting for ever.
PATIENCE = Delivery(model=MODEL, final_timeout=2.0)
FAST = Delivery(model=MODEL, speed=0)


async def failure_after(
    happens: Callable[[], None], way: Way, audio: Audio, plan: Delivery
) -> StreamError:
    """Let something happen at the first words; give what the client then sees."""
    words = asyncio.Event()

    def note(event: events.Event) -> None:
        if isinstance(event, events.Delta) and not words.is_set():
            words.set()
            happens()

    async with way.stream() as stream:
        with pytest.raises(StreamError) as raised:
            async with asyncio.timeout(LIMIT_SECONDS):
                await transcribe(audio, stream, plan, on_event=note)
    assert words.is_set()
    return raised.value


async def test_a_hung_engine_is_silence_that_only_the_clients_own_limit_ends(
    way: Way, speech: Audio, engine: VLLMEngine
) -> None:
    try:
        error = await failure_after(engine.hang, way, speech, PATIENCE)
        health = await engine.health()
    finally:
        engine.resume()
    assert type(error) is TranscriptMissing
    assert error.what.startswith("no final transcript, and no words, for 2 s after the last audio")
    # Nothing on the way could have known: vLLM calls itself healthy all the time.
    assert health == 200
    assert way.emulator.sessions[-1].closed_by == "client"


async def test_an_engine_that_hung_and_goes_on_serves_the_next_session(
    way: Way, speech: Audio, engine: VLLMEngine
) -> None:
    engine.hang()
    engine.resume()
    async with way.stream() as stream:
        result = await transcribe(speech, stream, FAST)
    assert result.text == SENTENCE


async def test_a_killed_engine_is_an_error_of_the_model_and_then_refusals(
    way: Way, long_speech: Audio, engine: VLLMEngine
) -> None:
    error = await failure_after(engine.kill_engine, way, long_speech, PATIENCE)
    assert type(error) is ModelError
    assert error.code == "processing_error"
    assert "EngineCore encountered an issue" in error.what
    # For some seconds vLLM goes on accepting connections that nothing can serve; then it ends.
    await engine.wait_ended()
    with pytest.raises(RequestRefused) as refused:
        async with way.stream() as stream:
            await stream.opened()
    assert (refused.value.status, refused.value.code) == (424, "ModelError")


async def test_a_killed_api_server_is_a_broken_stream(
    way: Way, long_speech: Audio, engine: VLLMEngine
) -> None:
    error = await failure_after(engine.kill_api, way, long_speech, PATIENCE)
    assert type(error) is StreamBroken
    assert "ModelStreamError" in error.what
    assert "vLLM's connection was lost without a Close frame" in error.what
