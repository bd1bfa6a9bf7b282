"""The table of commands: what the help page says is what each command says of itself."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from sagemaker_bidi.commands.bidi import app
from sagemaker_bidi.commands.group import COMMANDS, imported


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_page_tells_the_first_sentence_of_the_command(name: str) -> None:
    told = " ".join((imported(name).help or "").split("\n\n")[0].split())

    assert COMMANDS[name].help == told


def test_the_help_page_lists_every_command() -> None:
    page = CliRunner().invoke(app, ["--help"]).output

    assert set(COMMANDS) <= set(re.findall(r"^\W*([a-z]+) ", page, re.MULTILINE))


def test_the_options_of_a_command_are_there_once_it_is_named() -> None:
    page = CliRunner().invoke(app, ["trust", "--help"]).output

    assert "--region" in page


def test_an_unknown_command_is_a_mistake_of_the_command_line() -> None:
    result = CliRunner().invoke(app, ["transcript"])

    assert result.exit_code == 2
    assert "transcribe" in result.output


def test_the_version_is_that_of_the_distribution() -> None:
    result = CliRunner().invoke(app, ["--version"])

    assert (result.exit_code, result.output) == (0, f"sagemaker-bidi {version('sagemaker-bidi')}\n")


@pytest.mark.parametrize(
    ("words", "offered"),
    [("bidi scen", {"scenario", "scenarios"}), ("bidi trust --reg", {"--region"})],
)
def test_a_shell_completes_commands_and_the_options_of_a_command_not_yet_imported(
    words: str, offered: set[str]
) -> None:
    line = {
        "_BIDI_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    result = CliRunner().invoke(app, [], prog_name="bidi", env=line)

    assert set(result.output.split()) == offered


def test_completion_can_be_installed() -> None:
    page = CliRunner().invoke(app, ["--help"]).output

    assert "--install-completion" in page
