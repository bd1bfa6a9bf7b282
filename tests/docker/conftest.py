"""Real containers: a Docker daemon, our images built once a run, and containers from them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

# Before testcontainers is imported. Its reaper is an image from a registry.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy, WaitStrategy

from sagemaker_bidi.containers.image_run import PROCESS_LABEL
from sagemaker_bidi.testing.containers import (
    SageMakerBidiContainer,
    StandInContainer,
    VoxtralContainer,
)
from tests.docker.talk import docker

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "bidi-tests"
# A shared machine is not SageMaker's: a bridge waits longer for its backend to accept.
PATIENT = ("BRIDGE_OPEN_TIMEOUT_MS", "10000")
START_IT = "`.ci/docker-up` starts a daemon where it can; then `pytest -m docker`"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "docker: needs a Docker daemon")
    config.addinivalue_line("markers", "gpu: needs a GPU that Docker sees, and real weights")


@pytest.fixture(scope="session", autouse=True)
def docker_daemon() -> None:
    """Skip where no Docker daemon answers."""
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except FileNotFoundError:
        pytest.skip(f"there is no docker command; {START_IT}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"the Docker daemon does not answer; {START_IT}")
    if asked.returncode:
        pytest.skip(f"no Docker daemon answers ({asked.stderr.strip()}); {START_IT}")


@pytest.fixture(scope="session", autouse=True)
def nothing_left(docker_daemon: None) -> Iterator[None]:
    """At the end of the run no container and no network of it is there; fails, and removes them."""
    yield
    ours = [f"{LABEL_SESSION_ID}={SESSION_ID}", f"{PROCESS_LABEL}={os.getpid()}"]

    def left(*ask: str) -> list[str]:
        return [
            each for label in ours for each in docker(*ask, "--filter", f"label={label}").split()
        ]

    containers, networks = left("ps", "--all", "--quiet"), left("network", "ls", "--quiet")
    names = [docker("inspect", "--format", "{{.Name}}", each) for each in containers + networks]
    for container in containers:
        docker("rm", "--force", "--volumes", container)
    for network in networks:
        docker("network", "rm", network)
    assert names == [], "the tests have left these behind"


@pytest.fixture(scope="session")
def bidi_images(docker_daemon: None) -> Mapping[str, str]:
    """Our images from this working tree; Docker's own cache leaves little to do the second time."""
    images = {
        name: f"{PREFIX}/{name}:latest" for name in ("bridge", "emulator", "voxtral", "stand-in")
    }
    _build("bridge", "emulator")
    emulator = f"EMULATOR_IMAGE={images['emulator']}"
    subprocess.run(
        ["docker", "build", "--tag", images["stand-in"], "--build-arg", emulator, "."],
        check=True,
        cwd=ROOT / "tests/docker/stand_in_vllm",
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
    )
    _build("voxtral", VLLM_IMAGE=images["stand-in"])
    return images


def _build(*targets: str, **variables: str) -> None:
    done = subprocess.run(
        ["images/build-offline", *targets],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "PREFIX": PREFIX, **variables},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.fail(f"the images cannot be built:\n{done.stderr}", pytrace=False)


def in_service() -> WaitStrategy:
    """Wait until an emulator's container has found its endpoint healthy; its port is not enough."""
    return LogMessageWaitStrategy("InService: GET ").with_startup_timeout(60)


@pytest.fixture(scope="session")
def voxtral_container(
    bidi_images: Mapping[str, str], bidi_network: Network, stand_in_container: StandInContainer
) -> Iterator[VoxtralContainer]:
    """The bridge as the fixture of the same name makes it, patient with a busy machine."""
    container = VoxtralContainer(bidi_images["bridge"]).with_backend(stand_in_container)
    container.with_network(bidi_network).with_network_aliases("voxtral")
    with container.with_env(*PATIENT):
        yield container


@pytest.fixture(scope="session")
def sagemaker_bidi(
    bidi_images: Mapping[str, str], bidi_network: Network, voxtral_container: VoxtralContainer
) -> Iterator[SageMakerBidiContainer]:
    """The emulator as the fixture of the same name makes it, patient with a busy machine."""
    container = SageMakerBidiContainer(bidi_images["emulator"]).with_network(bidi_network)
    container.with_contract(accept_seconds=10.0).with_endpoint("voxtral", voxtral_container)
    container.waiting_for(in_service())
    with container.with_sagemaker_host():
        yield container


@pytest.fixture
def network(docker_daemon: None) -> Iterator[Network]:
    """A network of the test's own."""
    with Network() as network:
        yield network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder with something in it."""
    (tmp_path / "params.json").write_text("{}")
    return tmp_path


@pytest.fixture
def voxtral(bidi_images: Mapping[str, str], model: Path) -> Iterator[VoxtralContainer]:
    """The deployable image with the stand-in in vLLM's place; not started yet."""
    container = VoxtralContainer(bidi_images["voxtral"]).with_model(model)
    yield container
    container.stop()
