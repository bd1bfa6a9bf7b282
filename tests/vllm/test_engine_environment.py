"""The engine's own environment: found, missing, and what is said where it cannot be made."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from sagemaker_bidi_fixtures.engine.checkpoint import make_checkpoint
from sagemaker_bidi_fixtures.engine.environment import (
    EngineUnavailable,
    Found,
    Missing,
    find_engine,
    install,
)
from sagemaker_bidi_fixtures.engine.launched import EngineFailed, Launched, free_port
from sagemaker_bidi_fixtures.engine.server import VLLMEngine


def test_a_folder_without_the_engine_says_how_to_get_it(tmp_path: Path) -> None:
    missing = find_engine(tmp_path / "none")
    assert isinstance(missing, Missing)
    assert str(missing).startswith(f"vLLM's engine is not installed in {tmp_path / 'none'}; ")
    assert "`make engine`" in str(missing)


def test_an_engine_of_other_pins_is_none(tmp_path: Path) -> None:
    (tmp_path / ".ready").write_text("of another time")
    missing = find_engine(tmp_path)
    assert isinstance(missing, Missing)
    assert "requirements.txt pins" in missing.reason


async def test_a_server_without_its_engine_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIDI_ENGINE_DIR", str(tmp_path / "none"))
    with pytest.raises(EngineUnavailable, match="make engine"):
        async with VLLMEngine(make_checkpoint(tmp_path / "checkpoint")):
            pytest.fail("it started")


def test_no_python_311_is_said_with_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIDI_PYTHON311", str(tmp_path / "python3.11"))
    with pytest.raises(EngineUnavailable, match=r"needs Python 3.11 .*tried .*python3.11"):
        install(tmp_path / "engine")
    assert not (tmp_path / "engine").exists()


def test_no_room_is_said_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_500_000_000))
    with pytest.raises(EngineUnavailable, match=r"needs 4.3 GB .* has 1.5 GB free: make room"):
        install(tmp_path / "engine")


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(EngineUnavailable, match="is no Python environment"):
        install(tmp_path)
    assert (tmp_path / "letters.txt").read_text() == "dear"


def pretend(monkeypatch: pytest.MonkeyPatch, fails: str, stderr: str) -> None:
    """Let every command succeed, but for the one that has `fails` in it."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        parts = list(map(str, command))
        if "venv" in parts:
            Path(parts[-1]).mkdir()
            (Path(parts[-1]) / "pyvenv.cfg").touch()
        return subprocess.CompletedProcess(parts, fails in " ".join(parts), "", stderr)

    monkeypatch.setattr("subprocess.run", run)


def test_no_cpu_build_of_a_package_is_said_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "-m pip", "ERROR: No matching distribution found for torch==2.13.0")
    monkeypatch.setenv("BIDI_PYTHON311", "python3.11")
    with pytest.raises(EngineUnavailable, match=r"pip finds no torch==2.13.0 for this machine"):
        install(tmp_path / "engine")
    assert isinstance(find_engine(tmp_path / "engine"), Missing)


def test_an_installation_counts_only_when_all_of_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIDI_PYTHON311", "python3.11")
    pretend(monkeypatch, "import torch", "ImportError: libcudart.so")
    with pytest.raises(EngineUnavailable, match="torch does not run"):
        install(tmp_path / "engine")
    assert isinstance(find_engine(tmp_path / "engine"), Missing)
    pretend(monkeypatch, "no such command", "")
    python = install(tmp_path / "engine")
    assert find_engine(tmp_path / "engine") == Found(python)
    assert install(tmp_path / "engine") == python


async def test_a_server_that_ends_at_once_shows_the_end_of_its_log() -> None:
    server = Launched(["sh", "-c", "echo no model here; exit 3"], {}, free_port(), "vLLM")
    try:
        with pytest.raises(EngineFailed, match=r"vLLM ended while it was starting[^$]*no model"):
            await server.healthy(10)
    finally:
        await server.stop()
