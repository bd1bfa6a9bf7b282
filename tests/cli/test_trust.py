"""`bidi trust`: the environment, for whatever reads it, and for a command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import StartBidi

type Run = Callable[..., subprocess.CompletedProcess[str]]

SHOWS = "import json, os; print(json.dumps(dict(os.environ)))"
LEFT_OVER = {"AWS_SESSION_TOKEN": "left-over", "AWS_PROFILE": "work-sso"}


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, **LEFT_OVER}


def said(run_bidi: Run, *arguments: object) -> str:
    done = run_bidi("trust", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def variables(run_bidi: Run, *arguments: object) -> dict[str, str]:
    given: dict[str, str] = json.loads(said(run_bidi, "--format", "json", *arguments))["set"]
    return given


def test_a_shell_that_has_settings_of_its_own_has_the_emulators_after_it(
    run_bidi: Run, environment: dict[str, str]
) -> None:
    lines = said(run_bidi, "--port", 9443, "--region", "eu-west-3")
    shell = subprocess.run(
        ["sh", "-ec", f'{lines}\nexec "$@"', "sh", sys.executable, "-c", SHOWS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    seen = json.loads(shell.stdout)
    assert seen["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2"] == "https://127.0.0.1:9443"
    assert seen["AWS_REGION"] == "eu-west-3"
    assert seen.keys().isdisjoint(LEFT_OVER)


def test_a_command_runs_in_it_and_passes_on_its_exit_status(run_bidi: Run) -> None:
    program = f"{SHOWS}; raise SystemExit(7)"
    done = run_bidi("trust", "--port", 9443, "--", sys.executable, "-c", program)

    seen = json.loads(done.stdout)
    assert done.returncode == 7
    assert seen["NODE_EXTRA_CA_CERTS"].endswith("ca.pem")
    assert seen["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2"] == "https://127.0.0.1:9443"
    assert seen.keys().isdisjoint(LEFT_OVER)


def test_a_command_hears_the_signals_that_are_sent_to_it(start_bidi: StartBidi) -> None:
    waits = "import signal; print('up', flush=True); signal.pause()"
    running = start_bidi("trust", "--", sys.executable, "-c", waits)
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"

    running.send_signal(signal.SIGTERM)

    assert running.wait(timeout=20) == -signal.SIGTERM


def test_a_command_that_cannot_be_run_ends_as_a_shell_ends(run_bidi: Run, tmp_path: Path) -> None:
    missing = run_bidi("trust", "--", "no-such-command-anywhere")
    folder = run_bidi("trust", "--", tmp_path)

    assert (missing.returncode, folder.returncode) == (127, 126)
    assert "there is no command 'no-such-command-anywhere'" in missing.stderr


def test_one_thing_at_a_time(run_bidi: Run) -> None:
    done = run_bidi("trust", "--hosts", "--format", "json")

    assert done.returncode == 2
    assert "one of them at a time" in done.stderr


def test_a_file_of_variables_has_a_line_each_and_says_what_it_cannot(run_bidi: Run) -> None:
    done = run_bidi("trust", "--format", "env")
    lines = dict(line.split("=", 1) for line in done.stdout.splitlines())

    assert lines == variables(run_bidi)
    assert "cannot clear anything" in done.stderr


def test_json_says_what_is_set_and_what_is_not(run_bidi: Run) -> None:
    both = json.loads(said(run_bidi, "--format", "json"))

    assert both["set"]["AWS_REGION"] == "us-east-1"
    assert "AWS_SESSION_TOKEN" in both["unset"]


def test_docker_gets_the_files_and_the_host_by_names_that_hold_inside(run_bidi: Run) -> None:
    words = said(run_bidi, "--format", "docker", "--port", 9443).split()
    here = variables(run_bidi)

    url = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2=https://host.docker.internal:9443"
    assert f"--env={url}" in words
    assert f"--volume={here['SSL_CERT_FILE']}:/etc/sagemaker-bidi/ca-bundle.pem:ro" in words
    assert "--env=SSL_CERT_FILE=/etc/sagemaker-bidi/ca-bundle.pem" in words
    assert len(words) == len(set(words))


def test_powershell_and_fish_get_their_own_words(run_bidi: Run) -> None:
    powershell = said(run_bidi, "--format", "powershell").splitlines()
    fish = said(run_bidi, "--format", "fish").splitlines()

    assert "$env:AWS_SESSION_TOKEN = $null" in powershell
    assert "$env:AWS_REGION = 'us-east-1'" in powershell
    assert "set -e AWS_SESSION_TOKEN" in fish
    assert "set -gx AWS_REGION 'us-east-1'" in fish


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish_takes_what_it_gets(run_bidi: Run, environment: dict[str, str]) -> None:
    lines = said(run_bidi, "--format", "fish")
    seen = subprocess.run(
        ["fish", "--no-config", "-c", f"{lines}\n{sys.executable} -c '{SHOWS}'"],
        env={**environment, "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(seen.stdout).keys().isdisjoint(LEFT_OVER)


def test_a_line_of_the_hosts_file_names_sagemaker_in_a_region(run_bidi: Run) -> None:
    assert said(run_bidi, "--hosts", "--region", "eu-west-1") == (
        "127.0.0.1 runtime.sagemaker.eu-west-1.amazonaws.com "
        "runtime-fips.sagemaker.eu-west-1.amazonaws.com\n"
    )
