"""One name for one option, and one exit status for one mistake, over all commands."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi.commands.group import COMMANDS, imported

type Run = Callable[..., subprocess.CompletedProcess[str]]

# What these were called by single commands.
GONE = ("--control", "--patience")


def commands() -> Iterator[tuple[str, Any]]:
    for name in COMMANDS:
        command = imported(name)
        yield from getattr(command, "commands", {name: command}).items()


def options() -> dict[str, list[tuple[str, Any]]]:
    found: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for name, command in commands():
        for each in command.params:
            for option in each.opts:
                if option.startswith("--"):
                    found[option].append((name, each))
    return found


def test_no_option_goes_by_a_name_that_another_command_does_not_use() -> None:
    assert options().keys().isdisjoint(GONE)


@pytest.mark.parametrize(
    "option", ["--model", "--ca", "--timeout", "--region", "--quiet", "--port"]
)
def test_an_option_takes_the_same_kind_of_value_everywhere(option: str) -> None:
    uses = options()[option]
    assert uses
    assert len({str(each.type_descriptor.annotation) for _, each in uses}) == 1, [
        name for name, _ in uses
    ]


def test_a_file_that_is_not_there_is_the_same_mistake_everywhere(
    run_bidi: Run, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    lines = [
        ("transcribe", missing, "--endpoint-name", "x"),
        ("demo", "--audio", missing),
        ("serve", "--config", missing),
        ("assumptions", "--config", missing),
        ("replay", missing, "--to", "ws://127.0.0.1:9"),
        ("faults", "add", f"{missing}.toml"),
        ("check", "ws://127.0.0.1:9", "--recordings", missing),
    ]
    ended = {line[0]: run_bidi(*line) for line in lines}

    assert {name: done.returncode for name, done in ended.items()} == dict.fromkeys(ended, 2)
    assert [name for name, done in ended.items() if "missing" not in done.stderr] == []


def test_quiet_leaves_warnings_alone(
    start_bidi: Callable[..., subprocess.Popen[str]],
) -> None:
    serving = start_bidi("serve", "--endpoint", "echo=ws://127.0.0.1:9", "--port", 0, "--quiet")
    assert serving.stderr is not None
    assert "WARNING" in serving.stderr.readline()
    serving.terminate()
    out, err = serving.communicate(timeout=30)
    assert (out, "INFO" in err) == ("", False)
