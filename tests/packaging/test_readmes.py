"""What the READMEs say to type works, on the wheels that are built from this checkout."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Environments, run

READMES = ("README.md", "client/README.md", "bridge/README.md")


def first_console(readme: str) -> tuple[str, list[list[str]]]:
    """What its first block installs, and the command lines after it, in words."""
    block = re.search(r"```console\n(.*?)```", (ROOT / readme).read_text("utf-8"), re.DOTALL)
    assert block is not None, f"{readme} shows no command"
    install, *others = (
        shlex.split(line.removeprefix("$ ")) for line in block[1].splitlines() if line[:2] == "$ "
    )
    assert install[:2] == ["pip", "install"]
    (wanted,) = install[2:]
    return wanted, others


@pytest.mark.parametrize("readme", READMES)
def test_the_first_commands_of_a_readme_work(
    readme: str, environments: Environments, tmp_path: Path
) -> None:
    wanted, commands = first_console(readme)
    environment = environments.make(f"readme of {wanted}", *environments.ours(wanted))

    assert commands
    for command in commands:
        done = environment.run(*command, cwd=tmp_path)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


@pytest.mark.sdk
def test_pip_resolves_what_the_readme_says_to_install(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    wanted, _ = first_console("README.md")
    links = [option for wheel in wheels.values() for option in ("--find-links", wheel.parent)]
    target = ("--target", tmp_path, "--dry-run", "--ignore-installed")

    told = run(sys.executable, "-m", "pip", "install", *target, *links, wanted).stdout

    assert {"sagemaker-bidi-0.1.0", "sagemaker-bidi-bridge-0.1.0"} <= set(told.split())
