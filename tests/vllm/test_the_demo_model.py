"""The engine as a demonstration has it, with a sentence of one's own."""

from __future__ import annotations

import os

import pytest

from sagemaker_bidi_client.transcription import Delivery, transcribe
from sagemaker_bidi_fixtures.engine.demo import demo_model
from sagemaker_bidi_fixtures.engine.server import VLLMEngine
from tests.vllm.way import audio_of, way_to

OWN = "Größe: 3 µm, ja ja ja ja! 日本語 und noch einmal 日本語."


@pytest.mark.vllm
async def test_nothing_is_left_of_an_engine_that_is_stopped_while_it_hangs(
    engine: VLLMEngine,
) -> None:
    processes = [engine.pid, engine.engine_pid]
    engine.hang()
    await engine.stop()
    for pid in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.vllm
async def test_a_sentence_of_ones_own_is_said_by_the_real_engine(
    engine_of_the_run: VLLMEngine,
) -> None:
    # One engine at a time: each takes 1.5 GB.
    await engine_of_the_run.stop()
    async with demo_model(OWN) as model, way_to(model.url) as way, way.stream() as stream:
        result = await transcribe(
            audio_of(model.pcm16), stream, Delivery(model=model.model, speed=0)
        )
    assert result.text == model.sentence == f" {OWN}"
