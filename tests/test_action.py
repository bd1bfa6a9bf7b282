"""The action for GitHub's workflows: its steps run as a runner runs them; nothing is installed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.contract_tests.running import unused_port

ROOT = Path(__file__).parents[1]
LIMIT_SECONDS = 60  # a bound for a test that would otherwise hang, never a wait
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: dict[str, dict[str, Any]] = {step["id"]: step for step in ACTION["runs"]["steps"]}
PAGE = (ROOT / "docs/github-actions.md").read_text()


class Runner:
    """Runs a step as GitHub's runner does: bash, its inputs in the environment, its files."""

    def __init__(self, folder: Path) -> None:
        self.environment = folder / "env"
        self.output = folder / "output"
        self._folder = folder
        self._groups: list[int] = []
        # In place of what the installation makes.
        (folder / "sagemaker-bidi").symlink_to(sys.prefix)

    def run(self, step: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        expected = {
            name: re.fullmatch(r"\$\{\{ inputs\.(.*) \}\}", value)
            for name, value in STEPS[step]["env"].items()
        }
        given = {
            name: inputs.get(match[1], ACTION["inputs"][match[1]]["default"])
            for name, match in expected.items()
            if match is not None
        }
        with (
            (self._folder / "said").open("w+") as said,
            subprocess.Popen(
                # As `shell: bash` is documented.
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[step]["run"]],
                env={
                    **os.environ,
                    **given,
                    "RUNNER_TEMP": str(self._folder),
                    "GITHUB_ENV": str(self.environment),
                    "GITHUB_OUTPUT": str(self.output),
                    "BIDI_STATE_DIR": str(self._folder / "state"),
                },
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            self._groups.append(process.pid)
            process.wait(LIMIT_SECONDS)
            said.seek(0)
            return subprocess.CompletedProcess([], process.returncode, said.read())

    def end(self) -> None:
        for group in self._groups:
            try:
                os.killpg(group, signal.SIGTERM)
            except ProcessLookupError:
                continue


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    running = Runner(tmp_path)
    yield running
    running.end()


def written(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_the_emulator_runs_on_and_the_steps_that_follow_have_its_environment(
    runner: Runner, echo_container: EchoContainer
) -> None:
    port = str(unused_port())
    endpoints = f"voice={echo_container.url}\nother={echo_container.url}\n"

    done = runner.run("serve", endpoint=endpoints, port=port)

    assert done.returncode == 0, done.stdout
    output, environment = written(runner.output), written(runner.environment)
    assert output["url"] == f"https://127.0.0.1:{port}"
    assert environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2"] == output["url"]
    client = """
import asyncio, my_client
print(*(asyncio.run(my_client.ask(name, [name])) for name in ("voice", "other")))
"""
    said = subprocess.run(
        [sys.executable, "-c", client],
        cwd=ROOT / "docs/examples",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert said.stdout == "['voice'] ['other']\n", said.stderr


def test_an_emulator_that_cannot_start_fails_its_step_with_what_it_said(runner: Runner) -> None:
    done = runner.run("serve", endpoint="voice=ftp://127.0.0.1:1", port=str(unused_port()))

    assert done.returncode == 1
    assert "ws://" in done.stdout


def test_options_may_hold_spaces_and_whatever_a_shell_would_read(
    runner: Runner, tmp_path: Path, echo_container: EchoContainer
) -> None:
    folder = tmp_path / "my $(recordings)"

    done = runner.run(
        "serve",
        **{
            "endpoint": f"voice={echo_container.url}",
            "port": str(unused_port()),
            "serve-options": f"--record\n{folder}",
        },
    )

    assert done.returncode == 0, done.stdout
    assert f"recording to {folder}" in Path(written(runner.output)["log"]).read_text()


@pytest.mark.parametrize(("clause", "status"), [("F5", 0), ("NO1", 2)])
def test_a_check_says_how_it_went_and_writes_its_report(
    clause: str, status: int, runner: Runner, echo_container: EchoContainer
) -> None:
    options = {"check-options": f"--clause\n{clause}\n"}

    done = runner.run("check", check=echo_container.url, **options)

    assert done.returncode == status, done.stdout
    report = Path(written(runner.output)["report"])
    assert report.is_file() is (status == 0)


def test_what_it_installs_is_there() -> None:
    words = STEPS["install"]["run"].split()
    for folder in ("./client", "./bridge"):
        assert folder in words
        assert (ROOT / folder / "pyproject.toml").is_file()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extra,) = re.findall(r"'\.\[(\w+)\]'", STEPS["install"]["run"])
    assert extra in project["optional-dependencies"]
    assert (ROOT / words[words.index("--constraint") + 1]).is_file()


def test_no_input_is_put_into_a_script() -> None:
    assert not any("${{" in step.get("run", "") for step in STEPS.values())


def test_the_page_lists_its_inputs_and_its_examples_use_them() -> None:
    listed = set(re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE))
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(- .*?)```", PAGE, re.S)]

    assert listed == set(ACTION["inputs"])
    assert len(blocks) == 2
    assert {name for (step,) in blocks for name in step["with"]} <= listed
