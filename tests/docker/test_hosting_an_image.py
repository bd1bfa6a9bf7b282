"""`bidi serve --image`: an image run as SageMaker runs it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from sagemaker_bidi.clock import RealClock
from sagemaker_bidi.containers.docker import DockerError
from sagemaker_bidi.containers.hosted import ContainerFailed, HostedContainer, ImageRun
from sagemaker_bidi.containers.image import LABEL, UnfitImage, inspect_image
from sagemaker_bidi_client.errors import StreamBroken
from tests.docker.talk import FOX, LIMIT_SECONDS, Service, docker

pytestmark = pytest.mark.docker


@pytest.fixture
def run(bidi_images: Mapping[str, str], model: Path) -> ImageRun:
    """The deployable image with the stand-in in vLLM's place."""
    return ImageRun(bidi_images["voxtral"], model=model, environment={"STAND_IN_NOTE": "a b'c"})


async def left_of(container: HostedContainer) -> str:
    return await asyncio.to_thread(
        docker, "ps", "--all", "--quiet", "--filter", f"name={container.name}"
    )


async def test_it_serves_and_its_log_has_the_endpoints_name_before_each_line(run: ImageRun) -> None:
    lines: list[str] = []
    async with HostedContainer(run, on_line=lines.append) as container:
        assert 0 < await container.healthy() < 60
        async with Service(container.url) as service:
            assert await service.transcript() == FOX.words
    assert lines
    assert all(line.startswith("voxtral | ") for line in lines)
    assert any("stand-in vLLM" in line for line in lines)
    assert await left_of(container) == ""


@pytest.mark.clause("K4")
async def test_it_is_run_with_serve_its_model_read_only_and_the_environment_given(
    run: ImageRun,
) -> None:
    async with HostedContainer(run, on_line=lambda line: None) as container:
        assert (await container.first_process()).endswith("supervise.py serve")
        await container.healthy()
        note = docker("exec", container.name, "printenv", "STAND_IN_NOTE")
        mounts = docker("exec", container.name, "cat", "/proc/mounts").splitlines()
    assert note == "a b'c"
    (mount,) = (line.split() for line in mounts if " /opt/ml/model " in line)
    assert "ro" in mount[3].split(",")


async def test_its_environment_is_not_that_of_the_docker_command(
    bidi_images: Mapping[str, str],
) -> None:
    variables = {"DOCKER_HOST": "tcp://127.0.0.1:9", "DOCKER_CONFIG": "/none", "NOTE": " ä #=' "}
    run = ImageRun(bidi_images["bridge"], environment=variables)
    async with HostedContainer(run, on_line=lambda line: None) as container:
        found = json.loads(docker("inspect", "--format", "{{json .Config.Env}}", container.name))
    assert {f"{name}={value}" for name, value in variables.items()} <= set(found)


@pytest.mark.clause("K4")
async def test_a_container_that_dies_is_started_again_at_the_same_address(run: ImageRun) -> None:
    async with HostedContainer(run, on_line=lambda line: None) as container:
        await container.healthy()
        again = asyncio.create_task(container.started_again())
        async with Service(container.url) as service, service.talk() as talk:
            docker("kill", "--signal", "KILL", container.name)
            assert isinstance(await talk.end(), StreamBroken)
        await asyncio.wait_for(again, LIMIT_SECONDS)
        await container.healthy()
        async with Service(container.url) as service:
            assert await service.transcript() == FOX.words
        assert container.starts == 2


class AheadOfTime(RealClock):
    """Wall time, and what a test adds to it."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


@pytest.mark.clause("K4")
async def test_one_that_dies_later_than_it_had_to_get_healthy_is_started_again_too(
    run: ImageRun,
) -> None:
    clock, startup = AheadOfTime(), 480.0
    async with HostedContainer(
        run, startup=startup, on_line=lambda line: None, clock=clock
    ) as container:
        await container.healthy()
        again = asyncio.create_task(container.started_again())
        clock.ahead += 2 * startup
        docker("kill", "--signal", "KILL", container.name)
        await asyncio.wait_for(again, LIMIT_SECONDS)
        assert await container.healthy() < startup
        assert container.starts == 2


@pytest.mark.clause("K4")
async def test_one_that_is_never_healthy_fails_with_the_tail_of_its_log(
    bidi_images: Mapping[str, str], tmp_path: Path
) -> None:
    run = ImageRun(bidi_images["voxtral"], model=tmp_path)  # without weights it gives up
    clock, said = AheadOfTime(), asyncio.Event()

    def on_line(line: str) -> None:
        if "holds no model" in line:
            said.set()

    async with HostedContainer(run, on_line=on_line, clock=clock) as container:
        await asyncio.wait_for(said.wait(), LIMIT_SECONDS)
        clock.ahead += 480.0
        with pytest.raises(ContainerFailed, match=r"SageMaker fails|ended with 2 before") as failed:
            await container.healthy()
    assert "/opt/ml/model holds no model" in str(failed.value)
    assert await left_of(container) == ""


@pytest.mark.clause("K4")
async def test_what_does_not_end_after_sigterm_is_killed(
    bidi_images: Mapping[str, str], tmp_path: Path
) -> None:
    # Process 1 hears no signal that it has not asked for.
    (tmp_path / "serve").write_text("import signal; print('up', flush=True); signal.pause()")
    deaf = ("--entrypoint", "python3", "--volume", f"{tmp_path}/serve:/opt/bridge/serve:ro")
    up = asyncio.Event()
    run = ImageRun(bidi_images["bridge"], options=deaf)
    async with HostedContainer(run, on_line=lambda line: up.set()) as container:
        await asyncio.wait_for(up.wait(), LIMIT_SECONDS)
        stopped = await container.stop(seconds=0.5)
    assert stopped is not None
    assert (stopped.killed, stopped.code) == (True, 137)


@pytest.mark.clause("O1")
async def test_an_image_without_the_label_is_refused_before_anything_runs(
    bidi_images: Mapping[str, str],
) -> None:
    container = HostedContainer(ImageRun(bidi_images["emulator"]))
    with pytest.raises(UnfitImage, match=rf"has no label {LABEL}: .*\(O1\). Add `LABEL"):
        await container.__aenter__()
    assert await left_of(container) == ""


async def test_an_image_that_is_not_there_is_named() -> None:
    with pytest.raises(DockerError, match="there is no image no-such/image here: build it"):
        await inspect_image("no-such/image")


async def test_a_port_that_is_taken_is_named_and_nothing_is_left(run: ImageRun) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        container = HostedContainer(ImageRun(run.image, model=run.model, port=port))
        with pytest.raises(DockerError, match=rf"port 127.0.0.1:{port} is taken by another"):
            await container.__aenter__()
    assert await left_of(container) == ""


async def test_a_missing_model_folder_is_named(run: ImageRun, tmp_path: Path) -> None:
    container = HostedContainer(ImageRun(run.image, model=tmp_path / "none"))
    with pytest.raises(DockerError, match="no model folder"):
        await container.__aenter__()
