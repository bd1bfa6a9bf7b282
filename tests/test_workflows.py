"""What runs in GitHub's workflows and before a commit is what runs here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()


def read(path: Path) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(path.read_text())
    return content


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_only_runs_once_for_a_commit_and_ends(path: Path) -> None:
    workflow = read(path)
    triggers = workflow[True]  # YAML takes the key `on` for a boolean.

    assert workflow["permissions"] == {"contents": "read"}
    assert triggers["push"] == {"branches": ["main"]}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_the_workflows_run_what_ci_runs_here_and_the_unit_tests_on_macos() -> None:
    jobs = read(ROOT / ".github/workflows/ci.yml")["jobs"]
    commands = [step.get("run", "") for step in jobs["everything"]["steps"]]
    systems = {entry["os"] for entry in jobs["unit"]["strategy"]["matrix"]["include"]}

    assert ".ci/run" in commands
    assert "macos-latest" in systems
    assert any(step.get("run", "").startswith("make unit") for step in jobs["unit"]["steps"])


def test_the_images_that_are_built_are_targets_of_the_dockerfile() -> None:
    jobs = read(ROOT / ".github/workflows/ci.yml")["jobs"]
    dockerfile = (ROOT / "Dockerfile").read_text()

    for target in jobs["images"]["strategy"]["matrix"]["target"]:
        assert re.search(rf"^FROM .* AS {target}$", dockerfile, re.MULTILINE)


def test_what_runs_before_a_commit_is_make_lint() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    (recipe,) = re.findall(r"^lint: setup\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    lint = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]

    assert [hook["entry"] for hook in repository["hooks"]] == lint
