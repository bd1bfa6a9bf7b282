"""The workflow of docs/github-actions.md: what it names is there, and its test runs as given."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from typer.testing import CliRunner

from sagemaker_bidi.commands.bidi import app

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/github-actions.md").read_text()
LIMIT_SECONDS = 60  # a bound for a test that would otherwise hang, never a wait

# In place of the fixture that needs Docker and a container of the reader's.
WITHOUT_DOCKER = """

@pytest.fixture
def sagemaker():
    class Ready:
        async def get_client(self): ...

    return Ready()
"""


@pytest.fixture
def steps() -> list[dict[str, Any]]:
    (name,) = re.findall(r"\]\((.*\.yml)\)", PAGE)
    workflow = yaml.safe_load((ROOT / "docs" / name).read_text())
    (job,) = workflow["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


@pytest.fixture
def commands(steps: list[dict[str, Any]]) -> list[list[str]]:
    """Each command line of the workflow, in words."""
    return [shlex.split(line) for step in steps for line in step.get("run", "").splitlines()]


def test_each_step_uses_an_action_or_runs_a_command(steps: list[dict[str, Any]]) -> None:
    assert steps
    assert all(("uses" in step) != ("run" in step) for step in steps)


def test_what_it_installs_and_builds_is_there(commands: list[list[str]]) -> None:
    (installed,) = (words for words in commands if words[0] == "pip")
    (extra,) = re.findall(r"\./sagemaker-bidi\[(.*)\]", " ".join(installed))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra in project["optional-dependencies"]
    targets = [words[words.index("--target") + 1] for words in commands if "--target" in words]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert targets
    assert all(re.search(rf"^FROM .* AS {target}$", dockerfile, re.M) for target in targets)


def test_its_check_has_the_options_that_it_gives(commands: list[list[str]]) -> None:
    (check,) = (words for words in commands if words[0] == "bidi")
    (command,) = re.findall(r"^\w+", check[1])
    # Wide, so that no option is cut.
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert all(word in shown for word in check[2:] if word.startswith("--"))


def test_the_test_of_the_page_runs_as_the_workflow_runs_it(
    commands: list[list[str]], tmp_path: Path
) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (path,) = re.findall(r"`(tests/test_\w+\.py)`", PAGE)
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_text(text + WITHOUT_DOCKER)
    (command,) = (words for words in commands if words[0] == "pytest")
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert ended.returncode == 0, ended.stdout
    assert "1 passed" in ended.stdout
