"""Each release of the AWS SDK that is in use streams through emulator, bridge and model."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi import Emulator
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_fixtures.containers.misbehaving import (
    CloseAfter,
    MisbehavingContainer,
    RefuseUpgrade,
)
from sagemaker_bidi_fixtures.speech import recording
from sagemaker_bidi_fixtures.vllm.server import StandInVLLM
from tests.bridge.peers import settings_for
from tests.sdk.environments import RELEASES, python_with

pytestmark = pytest.mark.sdk

SPEECH = recording("quick-brown-fox")
HERE = Path(__file__).parent
ORDERS = ("headers-first", "send-first")


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=ORDERS)
def order(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def python(release: str) -> Path:
    return await asyncio.to_thread(python_with, release)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with (
        StandInVLLM(port=0) as vllm,
        BridgeServer(settings_for(f"{vllm.url}/v1/realtime")) as bridge,
        MisbehavingContainer(RefuseUpgrade(503)) as full,
        MisbehavingContainer(CloseAfter(1, 1011, "engine died")) as dying,
        Emulator({"voxtral": bridge.url, "full": full.url, "dying": dying.url}) as emulator,
    ):
        yield emulator


async def stream(
    python: Path, release: str, emulator: Emulator, endpoint: str, order: str, speed: float = 8
) -> dict[str, Any]:
    """Run the script for a release in its environment, and give its report."""
    script = "stream_wav_newest.py" if release == "newest" else "stream_wav_legacy.py"
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-W", "ignore", str(HERE / script)),
        *("--endpoint-url", emulator.url, "--endpoint-name", endpoint, "--wav", str(SPEECH.path)),
        *("--order", order, "--speed", str(speed), "--timeout", "20"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **emulator.trust()},
    )
    out, err = await asyncio.wait_for(process.communicate(), 40)
    assert out, f"the script said nothing: {err.decode()}"
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    if release != "newest":
        assert report["sdk"] == release
    return report


async def test_speech_comes_back_as_its_words(
    python: Path, release: str, order: str, emulator: Emulator
) -> None:
    report = await stream(python, release, emulator, "voxtral", order)
    assert report["exceptions"] == []
    assert report["text"].strip() == SPEECH.words
    assert report["delta_text"] == report["text"]
    assert report["deltas"] > 10
    assert report["input_close"] == "returned"


@pytest.mark.clause("O4")
async def test_a_container_that_refuses_raises_the_modelled_424(
    python: Path, release: str, order: str, emulator: Emulator
) -> None:
    report = await stream(python, release, emulator, "full", order, speed=1)
    assert report["text"] is None
    assert [
        (error["where"], error["type"], error["error_code"]) for error in report["exceptions"]
    ] == [("await_output", "ModelError", "INTERNAL_FAILURE_FROM_MODEL")]
    assert "Failed to establish WebSocket connection" in report["exceptions"][0]["message"]


@pytest.mark.clause("O5")
async def test_an_endpoint_that_does_not_exist_raises_an_error_without_its_message(
    python: Path, release: str, order: str, emulator: Emulator
) -> None:
    report = await stream(python, release, emulator, "nowhere", order, speed=1)
    [error] = report["exceptions"]
    assert (error["where"], error["type"]) == ("await_output", "CallError")
    assert "status: 400" in error["message"]
    assert "ValidationError" in error["message"]


@pytest.mark.clause("E1")
async def test_a_container_that_closes_with_1011_raises_a_model_stream_error(
    python: Path, release: str, emulator: Emulator
) -> None:
    report = await stream(python, release, emulator, "dying", "send-first", speed=1)
    error = report["exceptions"][0]
    assert (error["where"], error["type"]) == ("receive", "ModelStreamError")
    assert error["error_code"] == "1011"
    assert "engine died" in error["message"]
