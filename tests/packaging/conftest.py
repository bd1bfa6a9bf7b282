"""The wheels, built once, and environments that hold them and what they need, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "sagemaker-bidi": ".",
    "sagemaker-bidi-client": "client",
    "sagemaker-bidi-bridge": "bridge",
}
LIMIT = 300.0  # a bound for what would otherwise hang, never a wait


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each of our wheels, as `python -m build` makes it."""
    built = {}
    for name, folder in FOLDERS.items():
        out = tmp_path_factory.mktemp(name)
        run(
            sys.executable,
            "-m",
            "build",
            "--no-isolation",
            "--wheel",
            "--outdir",
            out,
            ROOT / folder,
        )
        (built[name],) = out.glob("*.whl")
    return built


@dataclass(frozen=True)
class Environment:
    """An environment of its own."""

    path: Path

    @property
    def packages(self) -> Path:
        """Where its packages are."""
        (found,) = self.path.glob("lib/python3.*/site-packages")
        return found

    def run(self, *command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of it, away from this repository."""
        program, *arguments = command
        return run(self.path / "bin" / str(program), *arguments, cwd=cwd, check=False)

    def install(self, *wheels: Path | str) -> None:
        """Install wheels as pip does, without what they need."""
        pip = (sys.executable, "-m", "pip", "--python", self.path / "bin" / "python")
        quiet = (
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-index",
            "--no-compile",
        )
        run(*pip, "install", *quiet, *wheels)


class Environments:
    """Makes environments: what our wheels need comes from this one, file by file, as links."""

    def __init__(self, folder: Path, wheels: dict[str, Path]) -> None:
        self._folder = folder
        self._wheels = wheels

    def make(
        self, name: str, *installed: str, beside: tuple[str, ...] = ("pytest",)
    ) -> Environment:
        """An environment with some of our wheels, their requirements, and other packages."""
        path = self._folder / name
        venv.create(path, symlinks=True)
        made = Environment(path)
        for needed in sorted(closure([*installed, *beside])):
            link(distribution(needed), made.packages)
        made.install(*(self._wheels[each.partition("[")[0]] for each in installed))
        return made

    @staticmethod
    def ours(wanted: str) -> list[str]:
        """What of ours comes with one of our distributions, itself first."""
        name = wanted.partition("[")[0]
        return [wanted, *sorted(needed([wanted]) & FOLDERS.keys() - {name})]


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory, wheels: dict[str, Path]) -> Environments:
    return Environments(tmp_path_factory.mktemp("environments"), wheels)


@pytest.fixture(scope="session")
def plain(environments: Environments) -> Environment:
    """`sagemaker-bidi` without extras, beside pytest."""
    return environments.make("plain", "sagemaker-bidi")


def closure(wanted: list[str]) -> set[str]:
    """The distributions that these need, themselves included, without ours."""
    return needed(wanted) - FOLDERS.keys()


def needed(wanted: list[str]) -> set[str]:
    """The distributions that these need, themselves included; ours too."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(wanted)
    while waiting:
        text = waiting.pop()
        if text in seen:
            continue
        seen.add(text)
        requirement = Requirement(text)
        known = distribution(requirement.name)
        found.add(requirement.name)
        for each in map(Requirement, known.requires or ()):
            extras = requirement.extras or {""}
            if each.marker is None or any(each.marker.evaluate({"extra": e}) for e in extras):
                named = f"[{','.join(each.extras)}]" if each.extras else ""
                waiting.append(f"{each.name}{named}")
    return found


def link(known: Distribution, packages: Path) -> None:
    """Put a distribution that is installed here there too."""
    home = Path(str(known.locate_file("")))
    for top in {Path(str(file)).parts[0] for file in known.files or ()} - {"..", "__pycache__"}:
        target = packages / top
        if (home / top).exists() and not target.exists():
            target.symlink_to(home / top)


def run(
    *command: object, cwd: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command without what this environment says of paths and plugins."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV", "COV_"))
    }
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done
