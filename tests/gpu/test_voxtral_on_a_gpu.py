"""Real weights on a real GPU: in a container where Docker sees the GPU, else as processes.

BIDI_VOXTRAL_MODEL is the folder with the weights; BIDI_VOXTRAL_IMAGE the image for Docker, built
from the target `voxtral` (`sagemaker-bidi/voxtral` unless given).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.clock import RealClock
from sagemaker_bidi.containers.hosted import HostedContainer, ImageRun
from sagemaker_bidi.containers.image_run import MODEL_FOLDER
from sagemaker_bidi.endpoints.ping import ping
from sagemaker_bidi_bridge.engine_options import PREFIX
from sagemaker_bidi_client import Delivery, load, open_stream, transcribe
from sagemaker_bidi_fixtures.speech import recording
from tests.gpu.places import ROOT, docker_gpus, image_environment, machine_has_a_gpu, why_no_vllm

pytestmark = pytest.mark.gpu

FOX = recording("quick-brown-fox")
PORT = 18_080
STARTUP_SECONDS = 480
STOP_SECONDS = 60
PUBLISHED = "mistralai/Voxtral-Mini-4B-Realtime-2602"
WORDS = {"quick", "brown", "fox", "jumps"}


@pytest.fixture(scope="module")
def weights() -> Path:
    """The folder that the user names."""
    named = os.environ.get("BIDI_VOXTRAL_MODEL")
    if not named:
        pytest.skip("no weights: name their folder in BIDI_VOXTRAL_MODEL, then `pytest -m gpu`")
    if not Path(named).is_dir():
        pytest.fail(f"BIDI_VOXTRAL_MODEL={named}: no such folder", pytrace=False)
    return Path(named)


async def words_from(url: str, model: str) -> set[str]:
    config = Config(port=0, health="strict", contract={"accept_seconds": 10.0})
    async with Emulator({"voxtral": url}, config=config) as emulator:
        with emulator.environment():
            async with open_stream(
                "voxtral", endpoint_url=emulator.url, region="us-east-1", ca=emulator.ca
            ) as stream:
                heard = await transcribe(load(FOX.path), stream, Delivery(model=model))
                return set(re.findall(r"\w+", heard.text.lower()))


async def test_the_deployable_image_hears_the_fox_on_a_gpu(weights: Path) -> None:
    gpus = docker_gpus()
    if gpus is None:
        pytest.skip("Docker sees no GPU: neither an nvidia runtime nor nvidia.com/gpu by CDI")
    image = os.environ.get("BIDI_VOXTRAL_IMAGE", "sagemaker-bidi/voxtral")
    async with HostedContainer(ImageRun(image, model=weights, gpus=gpus)) as container:
        await container.healthy()
        for model in ("", MODEL_FOLDER, PUBLISHED):
            assert await words_from(container.url, model) >= WORDS, model
        stopped = await container.stop()
    assert stopped is not None
    assert (stopped.code, stopped.killed) == (0, False)


@pytest.fixture
def supervised(weights: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The image's own first process, without the image."""
    if docker_gpus() is not None:
        pytest.skip("Docker sees a GPU: the image itself is tested")
    if not machine_has_a_gpu():
        pytest.skip("no GPU here (`nvidia-smi -L` names none)")
    if (why := why_no_vllm()) is not None:
        pytest.skip(f"a GPU without Docker, and {why}")
    process = subprocess.Popen(
        [sys.executable, "-m", "sagemaker_bidi_bridge.supervise", "serve"],
        cwd=ROOT,
        env={
            **image_environment(),
            **os.environ,
            f"{PREFIX}MODEL": str(weights),
            "BRIDGE_PORT": str(PORT),
            "BRIDGE_HOST": "127.0.0.1",
        },
    )
    yield process
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail(f"the supervisor did not end within {STOP_SECONDS} s of SIGTERM")


async def test_engine_and_bridge_as_processes_hear_the_fox_on_a_gpu(
    supervised: subprocess.Popen[bytes], weights: Path
) -> None:
    clock = RealClock()
    url = f"ws://127.0.0.1:{PORT}"
    async with asyncio.timeout(STARTUP_SECONDS):
        while (await ping(url, clock=clock, seconds=2.0)).status != 200:
            assert supervised.poll() is None, f"ended with {supervised.returncode}"
            await asyncio.sleep(1)
    for model in ("", str(weights)):
        assert await words_from(url, model) >= WORDS, model
