"""The examples of the pages run as they stand there, in a folder of a reader's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sagemaker_bidi import load_config

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
LIMIT_SECONDS = 60  # a bound for a test that would otherwise hang, never a wait
README = (DOCS.parent / "README.md").read_text("utf-8")
PAGES = list(DOCS.rglob("*.md"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in EXAMPLES.glob("*.py"):
        shutil.copy(path, tmp_path)
    return tmp_path


def run(folder: Path, *words: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**environ, "BIDI_STATE_DIR": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("test_*.py")))
def test_an_example_for_pytest_passes_without_another_plugin(name: str, folder: Path) -> None:
    said = run(folder, "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider", "-q", name)

    assert re.search(r"\d passed", said)


def test_the_example_for_unittest_passes(folder: Path) -> None:
    assert "Ran 2 tests" in run(folder, "unittest", "unittest_voice")


def test_the_configuration_file_can_be_read() -> None:
    config = load_config(EXAMPLES / "serve.toml")

    assert sorted(config.endpoints) == ["canary", "voxtral"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_every_example_is_on_a_page(path: Path) -> None:
    if path.name != "__pycache__":
        assert any(f'--8<-- "{path.name}"' in page.read_text("utf-8") for page in PAGES)


def test_what_the_readme_shows_of_a_test_passes(folder: Path) -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    imports = (EXAMPLES / "test_failures.py").read_text().partition("\n\n\n")[0]
    (folder / "test_readme.py").write_text(f"{imports}\n\n\n{shown}")

    words = ["-p", "no:asyncio", "-p", "no:cacheprovider", "-q"]
    said = run(folder, "pytest", *words, "test_readme.py")

    assert "2 passed" in said


def test_what_the_readme_leads_to_is_there() -> None:
    linked = re.findall(r"\]\(([^)#]+)", README)

    assert linked
    assert all((DOCS.parent / path).is_file() for path in linked)
