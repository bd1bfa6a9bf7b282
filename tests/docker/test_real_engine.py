"""vLLM's real engine, on the CPU, under our entrypoint in a real container."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest

from sagemaker_bidi.testing.containers import VoxtralContainer
from sagemaker_bidi_client.audio import Audio
from sagemaker_bidi_client.errors import StreamError
from sagemaker_bidi_fixtures.engine.checkpoint import Checkpoint, make_checkpoint
from sagemaker_bidi_fixtures.engine.environment import Missing, find_engine
from sagemaker_bidi_fixtures.engine.server import ENVIRONMENT
from sagemaker_bidi_fixtures.engine.speech import SAMPLE_RATE, silence
from tests.docker.talk import LIMIT_SECONDS, Service, Talk, docker, exit_code

pytestmark = pytest.mark.docker

START_SECONDS = 240
HANG_SECONDS = 3
_SERVER = "-m vllm.entrypoints.openai.api_server"
# What a model of three megabytes on two cores needs; the rest is the image's own.
OPTIONS: dict[str, str | float] = {
    "enforce_eager": "true",
    "served_model_name": "tiny",
    "distributed_executor_backend": "uni",
    "max_model_len": 1_024,
    "max_num_batched_tokens": 2_048,
    "kv_cache_memory_bytes": "64M",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The tiny model that says the usual sentence."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def engine(
    bidi_images: Mapping[str, str],
    checkpoint: Checkpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[VoxtralContainer]:
    """The deployable image, with the engine of this machine in it as its `vllm`."""
    found = find_engine()
    if isinstance(found, Missing):
        pytest.skip(str(found))
    environment = found.python.parents[1]
    container = VoxtralContainer(bidi_images["voxtral"]).with_model(checkpoint.folder)
    # At their own places: the environment's links and first lines name them.
    for folder in (environment, found.python.resolve().parents[1]):
        container.with_volume_mapping(folder, str(folder), "ro")
    # The CPU build's own command looks for a package of the GPU build's name.
    script = tmp_path_factory.mktemp("bin") / "vllm"
    script.write_text(f'#!/bin/sh\nshift\nexec {found.python} {_SERVER} --model "$@"\n')
    script.chmod(0o755)
    container.with_volume_mapping(script, "/usr/local/bin/vllm", "ro")
    container.with_vllm(**OPTIONS).with_envs(**ENVIRONMENT)
    container.with_env("BRIDGE_HANG_SECONDS", str(HANG_SECONDS))
    container._wait_strategy.with_startup_timeout(START_SECONDS)  # type: ignore[union-attr]
    with container:
        yield container


@asynccontextmanager
async def in_service(container: VoxtralContainer) -> AsyncIterator[Service]:
    """The container behind an emulator, once its health check has passed."""
    async with Service(container.get_url()) as service:
        await service.status_becomes("InService")
        yield service


def sound_of(pcm16: bytes) -> Audio:
    return Audio(pcm16, len(pcm16) / 2 / SAMPLE_RATE, SAMPLE_RATE, 1, "PCM_16")


def engine_process(container: VoxtralContainer) -> int:
    """The process that computes, a child of vLLM's server."""
    for line in docker("exec", container.get_container_id(), "ps", "-eo", "pid,args").splitlines():
        pid, command = line.split(None, 1)
        if "VLLM::Engine" in command:
            return int(pid)
    raise AssertionError("vLLM has no engine process")


async def test_sdk_emulator_bridge_and_the_real_vllm_in_a_container_give_the_exact_sentence(
    engine: VoxtralContainer, checkpoint: Checkpoint
) -> None:
    async with Service(engine.get_url()) as service:
        assert await service.transcript(sound_of(checkpoint.audio())) == checkpoint.text.strip()


@pytest.mark.clause("K4")
async def test_an_engine_that_hangs_is_found_by_its_missing_deltas_and_forgiven_when_it_goes_on(
    engine: VoxtralContainer, checkpoint: Checkpoint
) -> None:
    container = engine.get_container_id()
    pages = httpx.AsyncClient(base_url=engine.get_url().replace("ws", "http", 1), trust_env=False)
    async with in_service(engine) as service, service.stream() as stream, pages:
        talk = Talk(stream, sound_of(silence(5 * SAMPLE_RATE)))
        await talk.begin()
        pid = str(engine_process(engine))
        docker("exec", container, "kill", "-STOP", pid)
        try:
            # The deltas of what it had finished may still come: those are no answer to new audio.
            await asyncio.sleep(0.5)
            await talk.say()
            answer = await _ping_until(pages, 503)
            assert "vLLM's engine hangs" in answer.text
            url = "http://127.0.0.1:8081/health"
            asked = f"import urllib.request; print(urllib.request.urlopen({url!r}).status)"
            assert docker("exec", container, "python3", "-c", asked) == "200"
        finally:
            docker("exec", container, "kill", "-CONT", pid)
        await _ping_until(pages, 200)


async def test_a_killed_engine_ends_the_session_and_the_container(
    engine: VoxtralContainer, checkpoint: Checkpoint
) -> None:
    container = engine.get_container_id()
    async with in_service(engine) as service, service.stream() as stream:
        talk = Talk(stream, sound_of(silence(5 * SAMPLE_RATE)))
        await talk.begin()
        docker("exec", container, "kill", "-KILL", str(engine_process(engine)))
        assert isinstance(await talk.end(), StreamError)
    # vLLM takes an engine that has died for a reason to stop in order, with 0.
    code = exit_code(container)
    assert f"finished code={code} " in engine.get_logs()[1].decode()
    assert f"vllm ended with {code}" in engine.get_logs()[1].decode()


async def _ping_until(pages: httpx.AsyncClient, status: int) -> httpx.Response:
    """Ask `/ping` until it says so; each answer comes within SageMaker's 2 s."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            started = time.perf_counter()
            answer = await pages.get("/ping")
            assert time.perf_counter() - started < 2
            if answer.status_code == status:
                return answer
            await asyncio.sleep(0.2)
