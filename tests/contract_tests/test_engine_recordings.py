"""The engine's recordings, played by the suite to the real engine behind the bridge."""

from __future__ import annotations

import pytest

from sagemaker_bidi.recordings.files import read_recording
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_contract.replay.choice import BUNDLED
from sagemaker_bidi_contract.verdicts import Verdict
from sagemaker_bidi_fixtures.engine.demo import demo_model
from sagemaker_bidi_fixtures.engine.environment import Missing, find_engine
from tests.bridge.peers import settings_for
from tests.contract_tests import endpoints, running
from tests.contract_tests.recorded import behind_an_endpoint
from tests.vllm.make_sessions import BRIDGED as ENGINE

RECORDED = {
    f"recording.{path.stem}"
    for path in BUNDLED.glob("*.jsonl")
    if read_recording(path).header.container == ENGINE
}


@pytest.mark.vllm
async def test_the_engine_answers_as_it_is_recorded_as_a_container_and_behind_an_endpoint() -> None:
    if isinstance(missing := find_engine(), Missing):
        pytest.skip(str(missing))
    # The words are the same each time, the number of deltas and their pieces are not.
    said = {"container": ENGINE, "compare": "text", "speed": 4.0, "timeout": 60.0}
    async with demo_model() as model:
        settings = settings_for(f"{model.url}/v1/realtime")
        async with BridgeServer(settings) as bridge, behind_an_endpoint(bridge.url) as emulator:
            reports = [
                await running.check(bridge.url, "recording", **said),
                await endpoints.check(emulator.url, "recording", **said),
            ]
    assert RECORDED
    for report in reports:
        made = {item.check: item for item in report.findings if item.verdict != Verdict.SKIPPED}
        assert set(made) == RECORDED
        assert running.told(report, Verdict.FAILED) == []
        assert report.exit_status == 0
