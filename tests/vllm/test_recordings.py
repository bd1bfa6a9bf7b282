"""The recordings of the real engine, replayed to it: the engine says it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagemaker_bidi.recordings.files import read_recording
from sagemaker_bidi.replay.play import play
from sagemaker_bidi.replay.side import Pace
from sagemaker_bidi.replay.targets import Target
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_contract.replay.choice import BUNDLED
from sagemaker_bidi_fixtures.engine.server import VLLMEngine
from tests.bridge.peers import settings_for

SESSIONS = sorted(BUNDLED.glob("engine-*.jsonl"))


def test_there_are_recordings_of_the_engine() -> None:
    assert [read_recording(path).header.provenance for path in SESSIONS] == ["real engine"] * 2


@pytest.mark.vllm
@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
async def test_the_engine_answers_as_it_is_recorded(engine: VLLMEngine, path: Path) -> None:
    settings = settings_for(f"{engine.url}/v1/realtime")
    async with BridgeServer(settings) as bridge:
        outcome = await play(
            read_recording(path), Target.parse(bridge.url), mode="text", pace=Pace(speed=4)
        )

    assert (outcome.problem, outcome.difference) == ("", None)
