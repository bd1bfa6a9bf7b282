"""Real weights on a real GPU: in a container where Docker sees the GPU, else as processes.

BIDI_VOXTRAL_MODEL is the folder with the weights; BIDI_VOXTRAL_IMAGE the image for Docker, built
from the target `voxtral` (`sagemaker-bidi/voxtral` unless given).
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.clock import RealClock
from sagemaker_bidi.containers.hosted import HostedContainer, ImageRun
from sagemaker_bidi.endpoints.ping import ping
from sagemaker_bidi_bridge.engine_options import PREFIX
from sagemaker_bidi_client import load, open_stream, transcribe
from sagemaker_bidi_fixtures.speech import recording

pytestmark = pytest.mark.gpu

FOX = recording("quick-brown-fox")
PORT = 18_080
STARTUP_SECONDS = 480
_ROOT = Path(__file__).parents[2]
_AS_THE_IMAGE = {
    f"{PREFIX}MAX_MODEL_LEN": "45000",
    f"{PREFIX}COMPILATION_CONFIG": '{"cudagraph_mode": "PIECEWISE"}',
}


@pytest.fixture(scope="module")
def weights() -> Path:
    """The folder that the user names."""
    named = os.environ.get("BIDI_VOXTRAL_MODEL")
    if not named:
        pytest.skip("no weights: name their folder in BIDI_VOXTRAL_MODEL, then `pytest -m gpu`")
    if not Path(named).is_dir():
        pytest.fail(f"BIDI_VOXTRAL_MODEL={named}: no such folder", pytrace=False)
    return Path(named)


def docker_sees_a_gpu() -> bool:
    try:
        asked = subprocess.run(
            ["docker", "info", "--format", "{{json .Runtimes}}"],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0 and "nvidia" in asked.stdout


def machine_has_a_gpu() -> bool:
    try:
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True).stdout.startswith(b"GPU")
    except OSError:
        return False


async def words_from(url: str) -> str:
    config = Config(port=0, health="strict", contract={"accept_seconds": 10.0})
    async with Emulator({"voxtral": url}, config=config) as emulator:
        with emulator.environment():
            async with open_stream(
                "voxtral", endpoint_url=emulator.url, region="us-east-1", ca=emulator.ca
            ) as stream:
                return (await transcribe(load(FOX.path), stream)).text


def heard(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


async def test_the_deployable_image_hears_the_fox_on_a_gpu(weights: Path) -> None:
    if not docker_sees_a_gpu():
        pytest.skip("Docker sees no GPU (no nvidia runtime in `docker info`)")
    image = os.environ.get("BIDI_VOXTRAL_IMAGE", "sagemaker-bidi/voxtral")
    async with HostedContainer(ImageRun(image, model=weights, gpus="all")) as container:
        await container.healthy()
        assert heard(await words_from(container.url)) >= {"quick", "brown", "fox", "jumps"}
        stopped = await container.stop()
    assert stopped is not None
    assert (stopped.code, stopped.killed) == (0, False)


@pytest.fixture
def supervised(weights: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The image's own first process, without the image."""
    if docker_sees_a_gpu():
        pytest.skip("Docker sees a GPU: the image itself is tested")
    if not machine_has_a_gpu():
        pytest.skip("no GPU here (`nvidia-smi -L` names none)")
    if shutil.which("vllm") is None:
        pytest.skip("a GPU without Docker, and no `vllm` on PATH: install vLLM for this GPU")
    process = subprocess.Popen(
        [sys.executable, "-m", "sagemaker_bidi_bridge.supervise", "serve"],
        cwd=_ROOT,
        env={
            **_AS_THE_IMAGE,
            **os.environ,
            f"{PREFIX}MODEL": str(weights),
            "BRIDGE_PORT": str(PORT),
            "BRIDGE_HOST": "127.0.0.1",
        },
    )
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def test_engine_and_bridge_as_processes_hear_the_fox_on_a_gpu(
    supervised: subprocess.Popen[bytes],
) -> None:
    clock = RealClock()
    url = f"ws://127.0.0.1:{PORT}"
    async with asyncio.timeout(STARTUP_SECONDS):
        while (await ping(url, clock=clock, seconds=2.0)).status != 200:
            assert supervised.poll() is None, f"ended with {supervised.returncode}"
            await asyncio.sleep(1)
    assert heard(await words_from(url)) >= {"quick", "brown", "fox", "jumps"}
