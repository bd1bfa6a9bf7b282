"""A guest in anybody's project: what a repository has of its own stays its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.conftest import Environment, Environments

OURS = ("sagemaker-bidi", "sagemaker-bidi-client", "sagemaker-bidi-bridge")


@pytest.fixture(scope="module")
def full(environments: Environments) -> Environment:
    """All three wheels in one environment."""
    return environments.make("full", *OURS)


def project(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


# Each is fine without our wheels, and has a name that a folder of this repository has.
PROJECTS = {
    "emulator": {
        "emulator/__init__.py": "",
        "emulator/machine.py": "WORDS = 'mine'\n",
        "tests/test_it.py": "from emulator.machine import WORDS\ndef test(): assert WORDS\n",
    },
    "contract_tests": {
        "contract_tests/__init__.py": "",
        "contract_tests/test_it.py": "def test(): pass\n",
        "contract_tests/plugin.py": "raise RuntimeError('not to be imported')\n",
    },
    "fixtures without __init__.py": {
        "fixtures/users.py": "USERS = ['ada']\n",
        "test_it.py": "from fixtures.users import USERS\ndef test(): assert USERS == ['ada']\n",
    },
    "client": {
        "client/__init__.py": "",
        "client/audio.py": "RATE = 8000\n",
        "test_it.py": "from client.audio import RATE\ndef test(): assert RATE == 8000\n",
    },
    "bridge": {
        "bridge/__init__.py": "",
        "bridge/observe.py": "SEEN = 1\n",
        "test_it.py": "from bridge.observe import SEEN\ndef test(): assert SEEN == 1\n",
    },
}


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_with_a_folder_of_that_name_tests_as_before(
    name: str, full: Environment, tmp_path: Path
) -> None:
    where = project(tmp_path, PROJECTS[name])

    done = full.run("python", "-m", "pytest", "-q", cwd=where)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("name", ["bridge", "client", "emulator"])
def test_the_plugin_starts_an_emulator_in_such_a_project(
    name: str, full: Environment, tmp_path: Path
) -> None:
    where = project(
        tmp_path,
        {
            **PROJECTS[name],
            "test_emulator.py": "def test(emulator): assert emulator.url.startswith('https://')\n",
        },
    )

    done = full.run("python", "-m", "pytest", "-q", cwd=where)

    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_well_known_package_fixtures_stays_whole(
    environments: Environments, wheels: dict[str, Path], tmp_path: Path
) -> None:
    environment = environments.make("fixtures", "sagemaker-bidi")
    theirs = environment.packages / "fixtures"
    assert not theirs.exists()
    project(theirs, {"__init__.py": "class TempDir: ...\n", "_fixtures.py": "", "tests.py": ""})
    before = {file: file.read_bytes() for file in theirs.rglob("*.py")}

    environment.install("--force-reinstall", wheels["sagemaker-bidi"])
    done = environment.run(
        "python", "-c", "from fixtures import TempDir; import sagemaker_bidi", cwd=tmp_path
    )

    assert done.returncode == 0, done.stderr
    assert {file: file.read_bytes() for file in theirs.rglob("*.py")} == before


def test_no_wheel_puts_a_common_word_on_the_path(full: Environment) -> None:
    # What is linked there is others'.
    ours = {each.name for each in full.packages.iterdir() if not each.is_symlink()} - {
        "__pycache__"
    }

    assert {each.partition("-")[0] for each in ours} == {
        "sagemaker_bidi",
        "sagemaker_bidi_bridge",
        "sagemaker_bidi_client",
        "sagemaker_bidi_contract",
        "sagemaker_bidi_fixtures",
    }
