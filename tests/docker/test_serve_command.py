"""`bidi serve --image IMAGE` as a process: a container by SageMaker's rules behind it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sagemaker_bidi.containers.hosted import STOP_SECONDS
from sagemaker_bidi.containers.image import LABEL
from sagemaker_bidi_client import load, transcribe
from sagemaker_bidi_client.transcription import Delivery
from tests.docker.command import Command
from tests.docker.talk import FOX, LIMIT_SECONDS, docker, sdk_stream

pytestmark = pytest.mark.docker


async def words_from(command: Command, state: Path) -> str:
    """What the SDK hears of the fox, through the emulator that the command runs."""
    url = command.line("# listening on ").rpartition(" ")[2]
    async with asyncio.timeout(LIMIT_SECONDS), sdk_stream(url, state / "ca.pem") as stream:
        return (await transcribe(load(FOX.path), stream, Delivery(speed=0))).text.strip()


@pytest.fixture(scope="module")
def served(
    bidi_images: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Command]:
    """The deployable image under `bidi serve`, healthy; the stand-in is in vLLM's place."""
    model = tmp_path_factory.mktemp("model")
    (model / "params.json").write_text("{}")
    # A shared machine is not SageMaker's: more time to accept than O3 gives.
    config = tmp_path_factory.mktemp("config") / "bidi.toml"
    config.write_text("[contract]\naccept_seconds = 10.0\n")
    image = ("--image", bidi_images["voxtral"], "--model-folder", str(model))
    options = ("--env", "STAND_IN_NOTE=a b'c", "--config", str(config), "--port", "0")
    with Command("serve", *image, *options) as command:
        command.line("InService: GET ")
        yield command


async def test_the_sdk_gets_the_words_of_a_served_image(served: Command, state: Path) -> None:
    assert await words_from(served, state) == FOX.words


@pytest.mark.clause("K4")
def test_a_served_image_runs_as_on_sagemaker_and_its_log_has_the_endpoints_name(
    served: Command,
) -> None:
    (container,) = served.containers()
    (found,) = json.loads(docker("inspect", container))
    assert found["Args"][-1] == "serve"
    assert [binding["HostIp"] for binding in found["HostConfig"]["PortBindings"]["8080/tcp"]] == [
        "127.0.0.1"
    ]
    (mount,) = found["Mounts"]
    assert (mount["Destination"], mount["RW"]) == ("/opt/ml/model", False)
    assert "STAND_IN_NOTE=a b'c" in found["Config"]["Env"]
    served.line("voxtral | stand-in vLLM")
    said_by_the_container = [line for line in served.output.splitlines() if "logger=bridge" in line]
    assert said_by_the_container
    assert all(line.startswith("voxtral | ") for line in said_by_the_container)


@pytest.mark.clause("K4")
async def test_a_served_container_that_dies_is_started_again(served: Command, state: Path) -> None:
    healthy = served.output.count("voxtral | stand-in vLLM")
    (container,) = served.containers()
    docker("kill", "--signal", "KILL", container)
    served.line("voxtral: the container ended with 137; SageMaker starts it again")
    served.line("voxtral | stand-in vLLM", times=healthy + 1)
    assert await words_from(served, state) == FOX.words


@pytest.mark.clause("K4")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_serve_is_a_sigterm_for_the_container_and_leaves_none(
    number: signal.Signals, bidi_images: Mapping[str, str]
) -> None:
    # The bridge needs no model to run, only to be healthy.
    with Command("serve", "--image", f"mine={bidi_images['bridge']}", "--port", "0") as command:
        command.line("mine | ")
        command.line("# listening on ")
        assert len(command.containers()) == 1
        assert command.stop(number) == 0
    assert "logger=bridge.server stopped" in command.output
    command.line("mine: the container ended with 0, ")
    assert command.containers() == []


def test_a_second_signal_leaves_the_container_no_more_time(
    bidi_images: Mapping[str, str],
) -> None:
    with Command("serve", "--image", bidi_images["bridge"], "--port", "0") as command:
        command.line("# listening on ")
        (container,) = command.containers()
        os.kill(int(docker("inspect", "--format", "{{.State.Pid}}", container)), signal.SIGSTOP)
        command.process.send_signal(signal.SIGTERM)
        command.line("SIGTERM: stopping")
        assert command.stop(signal.SIGTERM) == 0
    said = command.line("after SIGTERM: killed (K4)")
    seconds = re.search(r"still running (\S+) s", said)
    assert seconds is not None
    assert float(seconds[1]) < STOP_SECONDS
    assert command.containers() == []


def test_a_served_container_that_is_removed_fails_its_endpoint_and_serve_still_ends_in_order(
    bidi_images: Mapping[str, str],
) -> None:
    with Command("serve", "--image", bidi_images["bridge"], "--port", "0") as command:
        command.line("# listening on ")
        (container,) = command.containers()
        docker("rm", "--force", container)
        command.line("has been removed, and with it the endpoint has failed")
        assert command.stop(signal.SIGTERM) == 0


def test_an_endpoint_that_is_an_image_and_a_url_is_refused(bidi_images: Mapping[str, str]) -> None:
    image, url = f"twice={bidi_images['bridge']}", "twice=ws://127.0.0.1:8080"
    with Command("serve", "--image", image, "--endpoint", url, "--port", "0") as command:
        assert command.status() == 2
    assert "error: endpoint twice is given by --image and as a URL" in command.output


@pytest.mark.clause("O1")
def test_serve_refuses_an_image_without_the_label_and_starts_nothing(
    bidi_images: Mapping[str, str],
) -> None:
    with Command("serve", "--image", bidi_images["emulator"], "--port", "0") as command:
        assert command.status() == 1
    assert f"has no label {LABEL}: SageMaker opens no WebSocket to it (O1)" in command.output
    assert "listening on" not in command.output


def test_serve_that_finds_its_port_taken_leaves_no_container(
    served: Command, bidi_images: Mapping[str, str]
) -> None:
    port = served.line("# listening on ").rpartition(":")[2]
    with Command("serve", "--image", bidi_images["bridge"], "--port", port) as command:
        assert command.status() == 1
    assert f"error: cannot listen on 127.0.0.1:{port}: another process" in command.output
    assert "started container" not in command.output
    assert command.containers() == []
