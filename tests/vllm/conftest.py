"""The real vLLM for the tests of this folder: one engine for all, started again where it died."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from sagemaker_bidi_client.audio import Audio
from sagemaker_bidi_fixtures.engine.checkpoint import Checkpoint, make_checkpoint
from sagemaker_bidi_fixtures.engine.environment import Missing, find_engine
from sagemaker_bidi_fixtures.engine.server import VLLMEngine
from sagemaker_bidi_fixtures.probes.phrases import MAX_MODEL_LEN
from tests.vllm.way import Way, audio_of, way_to


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The tiny model that says the usual sentence."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def engine_of_the_run(checkpoint: Checkpoint) -> Iterator[VLLMEngine]:
    """The engine of this run of the tests, not started yet."""
    if isinstance(missing := find_engine(), Missing):
        pytest.skip(str(missing))
    engine = VLLMEngine(checkpoint, max_model_len=MAX_MODEL_LEN)
    yield engine
    asyncio.run(engine.stop())


@pytest.fixture
async def engine(engine_of_the_run: VLLMEngine) -> VLLMEngine:
    """The engine, healthy and with nothing to do: a test may have killed it before."""
    try:
        healthy = engine_of_the_run.alive and await engine_of_the_run.health() == 200
    except (OSError, TimeoutError):
        healthy = False
    if not healthy:
        await engine_of_the_run.stop()
        await engine_of_the_run.start()
    await engine_of_the_run.wait_for(requests=0)
    return engine_of_the_run


@pytest.fixture
async def way(engine: VLLMEngine) -> AsyncIterator[Way]:
    """SDK, emulator, bridge, engine: all that is between a client and vLLM."""
    async with way_to(engine.url) as found:
        yield found


@pytest.fixture
def speech(checkpoint: Checkpoint) -> Audio:
    """Silence, white noise, silence: the model says its sentence once."""
    return audio_of(checkpoint.audio())


@pytest.fixture
def long_speech(checkpoint: Checkpoint) -> Audio:
    """Ten times the sentence: long enough for something to happen in the middle of it."""
    return audio_of(checkpoint.audio(times=10))
