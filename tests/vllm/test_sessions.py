"""The real SDK, the emulator, the bridge and the real vLLM, on good days and with rude clients."""

from __future__ import annotations

import asyncio

import pytest

from sagemaker_bidi_client import events, realtime
from sagemaker_bidi_client.audio import Audio
from sagemaker_bidi_client.transcription import Delivery, transcribe
from sagemaker_bidi_fixtures.engine.checkpoint import Checkpoint
from sagemaker_bidi_fixtures.engine.server import MODEL, VLLMEngine
from tests.vllm.way import LIMIT_SECONDS, SENTENCE, Way, audio_of, deltas_of

pytestmark = pytest.mark.vllm

FAST = Delivery(model=MODEL, speed=0)
PACED = Delivery(model=MODEL)
# The second utterance of a stream is greeted by nobody.
ANOTHER = Delivery(model=MODEL, speed=0, wait_for_headers=False)


async def test_the_sentence_comes_exactly_through_the_whole_way(way: Way, speech: Audio) -> None:
    async with way.stream() as stream:
        result = await transcribe(speech, stream, FAST)
    assert result.text == SENTENCE
    assert result.deltas == deltas_of(speech)
    assert result.usage == realtime.Usage(39, result.deltas, 39 + result.deltas)


async def test_words_come_while_the_audio_is_still_being_sent(way: Way, speech: Audio) -> None:
    heard: list[events.Event] = []
    async with way.stream() as stream:
        result = await transcribe(speech, stream, PACED, on_event=heard.append)
    kinds = [type(event) for event in heard]
    assert kinds.index(events.Delta) < len(kinds) - 1 - kinds[::-1].index(events.ChunkSent)
    assert "".join(event.text for event in heard if isinstance(event, events.Delta)) == SENTENCE
    assert result.text == SENTENCE


async def test_a_second_utterance_on_the_same_stream_is_heard_as_well(
    way: Way, speech: Audio
) -> None:
    async with way.stream() as stream:
        first = await transcribe(speech, stream, FAST)
        second = await transcribe(speech, stream, ANOTHER)
    assert (first.text, second.text) == (SENTENCE, SENTENCE)
    assert second.deltas == deltas_of(speech)


async def test_eight_paced_sessions_at_once_lose_no_token(
    way: Way, checkpoint: Checkpoint, engine: VLLMEngine
) -> None:
    spoken = [audio_of(checkpoint.audio(seed=seed, times=2)) for seed in range(8)]

    async def one(audio: Audio) -> tuple[str, int]:
        async with way.stream() as stream:
            result = await transcribe(audio, stream, PACED)
        return result.text, result.deltas

    async with asyncio.timeout(LIMIT_SECONDS):
        results = await asyncio.gather(*(one(audio) for audio in spoken))
    assert results == [(2 * SENTENCE, deltas_of(audio)) for audio in spoken]
    assert (await engine.wait_for(requests=0)).connections == 0


async def test_a_client_gone_in_mid_generation_leaves_nothing_in_the_engine(
    way: Way, long_speech: Audio, engine: VLLMEngine
) -> None:
    speaking = asyncio.Event()

    def note(event: events.Event) -> None:
        if isinstance(event, events.Delta):
            speaking.set()

    async with way.stream() as stream:
        session = asyncio.create_task(transcribe(long_speech, stream, PACED, on_event=note))
        async with asyncio.timeout(LIMIT_SECONDS):
            await speaking.wait()
        during = await engine.wait_for(requests=1)
        session.cancel()
    after = await engine.wait_for(requests=0)
    assert (during.connections, after.connections) == (1, 0)
    assert way.emulator.sessions[-1].closed_by == "client"
