"""The environments of the SDK's releases: made once, remade when the pins change."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sdk import environments
from tests.sdk.environments import EnvironmentFailed, python_with, requirements


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release named "test", with no packages at all."""
    monkeypatch.setattr(environments, "HERE", tmp_path)
    path = tmp_path / "requirements-test.txt"
    path.write_text("# nothing\n")
    return path


def inode(python: Path) -> int:
    return python.parent.parent.stat().st_ino


@pytest.mark.sdk
def test_an_environment_is_made_once_and_works(pins: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    python = python_with("test", home=home)
    version = f"py{sys.version_info.major}.{sys.version_info.minor}"
    assert python == home / f"test-{version}" / "bin" / "python"
    said = subprocess.run(
        [python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == str(home / f"test-{version}")
    before = inode(python)
    assert inode(python_with("test", home=home)) == before


@pytest.mark.sdk
def test_changed_pins_remake_it(pins: Path, tmp_path: Path) -> None:
    before = inode(python_with("test", home=tmp_path / "home"))
    pins.write_text("# something else\n")
    assert inode(python_with("test", home=tmp_path / "home")) != before


@pytest.mark.sdk
def test_what_pip_says_is_told_and_nothing_half_made_stays(pins: Path, tmp_path: Path) -> None:
    pins.write_text("./no-such-folder\n")
    home = tmp_path / "home"
    with pytest.raises(EnvironmentFailed, match=r"requirements-test\.txt(.|\n)*no-such-folder"):
        python_with("test", home=home)
    assert [entry.name for entry in home.iterdir() if entry.is_dir()] == []


def test_a_release_without_pins_is_told() -> None:
    with pytest.raises(ValueError, match=r"0\.4\.0, 0\.6\.0, 0\.9\.0, newest"):
        requirements("0.10.0")


@pytest.mark.parametrize("release", environments.RELEASES)
def test_every_release_is_pinned_to_the_last_package(release: str) -> None:
    lines = requirements(release).read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert all(line.count("==") == 1 for line in pinned)
    names = {line.split("==")[0].replace("_", "-").lower() for line in pinned}
    assert {"aws-sdk-sagemaker-runtime-http2", "awscrt", "smithy-core"} <= names
