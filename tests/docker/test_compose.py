"""`compose.yaml` as it stands: a stand-in, the bridge, the emulator and a client."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docker.command import LIMIT_SECONDS
from tests.docker.conftest import PATIENT, ROOT
from tests.docker.talk import FOX, docker

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """The command, as a plug-in of Docker's or by itself."""
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True)
    if asked.returncode == 0:
        return ["docker", "compose"]
    if found := shutil.which("docker-compose"):
        return [found]
    pytest.skip("there is neither `docker compose` nor `docker-compose`: install Docker's Compose")


def test_the_client_of_the_compose_file_prints_the_words(
    compose: list[str], bidi_images: Mapping[str, str], tmp_path: Path
) -> None:
    text = (ROOT / "compose.yaml").read_text()
    patient = tmp_path / "patient.toml"
    patient.write_text("[contract]\naccept_seconds = 10.0\n")
    state = 'volumes: ["trust:/var/lib/bidi"'
    address = "BRIDGE_BACKEND_URL: "
    # The images of this run, no port of this machine, as another emulator may be on it, and more
    # time to accept than SageMaker gives: four containers start at once here.
    for written, ours in {
        "image: sagemaker-bidi/emulator": f"image: {bidi_images['emulator']}",
        "image: sagemaker-bidi/bridge": f"image: {bidi_images['bridge']}",
        'ports: ["127.0.0.1:8443:8443"]': "",
        address: f"{PATIENT[0]}: '{PATIENT[1]}'\n      {address}",
        '"serve", "--host"': '"serve", "--config", "/patient.toml", "--host"',
        state: f'{state}, "{patient}:/patient.toml:ro"',
    }.items():
        assert written in text
        text = text.replace(written, ours)
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    project = f"bidi-{secrets.token_hex(4)}"
    asked = [*compose, "--project-directory", str(ROOT), "--file", str(file), "-p", project]
    try:
        done = subprocess.run(
            [*asked, "up", "--no-build", "--abort-on-container-exit", "--exit-code-from", "client"],
            capture_output=True,
            text=True,
            timeout=2 * LIMIT_SECONDS,
            env={**os.environ, "NO_COLOR": "1"},
        )
    finally:
        subprocess.run([*asked, "down", "--volumes"], capture_output=True, timeout=LIMIT_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert FOX.words in done.stdout
    assert docker("ps", "--all", "--quiet", "--filter", f"name={project}") == ""
    assert docker("volume", "ls", "--quiet", "--filter", f"name={project}") == ""
