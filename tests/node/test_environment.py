"""Where Node.js is missing the tests that need it say so, and the lock file names no registry."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.node import environment


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((environment.HERE / "package-lock.json").read_text("utf-8"))
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []


def test_a_missing_node_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert environment.why_not.__wrapped__() == (
        "node is not on PATH; install Node.js 20 or newer with npm, then run: pytest -m node"
    )


def test_an_old_node_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def old(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, stdout="v18.20.4\n")

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", old)
    assert str(environment.why_not.__wrapped__()) == (
        "Node.js is v18.20.4; install Node.js 20 or newer with npm, then run: pytest -m node"
    )
