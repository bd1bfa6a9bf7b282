"""What our images are: labelled, in layers that keep, compiled, and content with little."""

from __future__ import annotations

import json
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.docker.conftest import ROOT
from tests.docker.talk import LIMIT_SECONDS, docker

pytestmark = pytest.mark.docker

NOBODY = ("--user", "10001:10001", "--read-only", "--cap-drop", "ALL")
STATE = ("--tmpfs", "/var/lib/bidi:mode=1777")
HEALTHY = "{{.State.Health.Status}}"

type Run = Callable[..., str]


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs containers, which are removed after the test."""
    names: list[str] = []

    def start(*arguments: str) -> str:
        name = docker("run", "--detach", *arguments)
        names.append(name)
        return name

    yield start
    for name in names:
        docker("rm", "--force", "--volumes", name)


def log_of(name: str) -> str:
    said = subprocess.run(["docker", "logs", name], capture_output=True, text=True, timeout=60)
    return said.stdout + said.stderr


def says(name: str, text: str) -> None:
    wait(name, lambda: text in log_of(name))


def wait(name: str, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while not ready():
        assert time.monotonic() < until, log_of(name)
        time.sleep(0.2)


@pytest.mark.parametrize("target", ["bridge", "emulator", "voxtral"])
def test_an_image_says_what_it_is(target: str, bidi_images: Mapping[str, str]) -> None:
    labels = json.loads(
        docker("image", "inspect", "--format", "{{json .Config.Labels}}", bidi_images[target])
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert labels["org.opencontainers.image.title"] == f"sagemaker-bidi {target}"
    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert labels["org.opencontainers.image.description"]
    assert labels["org.opencontainers.image.source"].startswith("https://")


@pytest.mark.parametrize(("target", "most"), [("bridge", 1_000_000), ("emulator", 10_000_000)])
def test_code_has_a_layer_of_its_own_above_what_it_depends_on(
    target: str, most: int, bidi_images: Mapping[str, str]
) -> None:
    history = docker(
        "history", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", bidi_images[target]
    )
    code, packages = (
        int(line.partition(" ")[0]) for line in history.splitlines() if "COPY dir:" in line
    )
    assert 0 < code < most < packages


@pytest.mark.parametrize(
    ("target", "folder"),
    [
        ("bridge", "/opt/bridge"),
        ("voxtral", "/opt/bridge"),
        ("emulator", "/opt/bidi/lib/python3*/site-packages"),
    ],
)
def test_our_own_code_is_compiled_in_the_image(
    target: str, folder: str, bidi_images: Mapping[str, str]
) -> None:
    command = (
        f"for each in $(find {folder}/sagemaker_bidi* -name '*.py'); do "
        'ls "$(dirname $each)"/__pycache__/"$(basename $each .py)".*.pyc >/dev/null || echo $each; '
        "done"
    )
    found = docker("run", "--rm", "--entrypoint", "sh", bidi_images[target], "-c", command)
    assert found == ""


def test_the_bridge_runs_as_nobody_and_writes_nothing(
    run: Run, bidi_images: Mapping[str, str]
) -> None:
    backend = ("--env", "BRIDGE_BACKEND_URL=ws://127.0.0.1:1/v1/realtime")
    name = run(*NOBODY, *backend, bidi_images["bridge"], "serve")
    says(name, "logger=bridge.server")
    docker("kill", "--signal", "TERM", name)
    assert docker("wait", name) == "0"


def test_the_emulator_runs_as_nobody_with_its_state_in_memory(
    run: Run, bidi_images: Mapping[str, str]
) -> None:
    serve = ("serve", "--host", "0.0.0.0", "--endpoint", "e=ws://127.0.0.1:1")
    name = run(*NOBODY, *STATE, bidi_images["emulator"], *serve)
    says(name, "listening on https://")
    docker("kill", "--signal", "TERM", name)
    assert docker("wait", name) == "0"


def test_an_emulator_on_another_port_is_healthy(run: Run, bidi_images: Mapping[str, str]) -> None:
    serve = ("serve", "--host", "0.0.0.0", "--port", "9443", "--endpoint", "e=ws://127.0.0.1:1")
    name = run(bidi_images["emulator"], *serve)
    wait(name, lambda: docker("inspect", "--format", HEALTHY, name) == "healthy")


def test_a_stand_in_of_the_emulators_image_is_healthy(
    run: Run, bidi_images: Mapping[str, str]
) -> None:
    stand_in = ("-m", "sagemaker_bidi_fixtures.vllm", "--host", "0.0.0.0")
    name = run("--entrypoint", "python", bidi_images["emulator"], *stand_in)
    wait(name, lambda: docker("inspect", "--format", HEALTHY, name) == "healthy")


def test_a_container_in_which_nothing_listens_is_not_healthy(
    run: Run, bidi_images: Mapping[str, str]
) -> None:
    name = run("--entrypoint", "sleep", bidi_images["emulator"], "600")
    with pytest.raises(AssertionError, match=r"listens\.py"):
        docker("exec", name, "python", "/opt/bidi/listens.py")
