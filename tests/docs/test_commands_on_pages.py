"""The commands that pages show have the options that they are shown with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi.commands.group import COMMANDS, imported

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
# On a line of its own or inside backticks, up to what a shell or the sentence goes on with.
SHOWN = re.compile(r"(?:^(?:\$ )?|`|\$\(|\")bidi ([a-z]+)([^`|\n)]*)", re.MULTILINE)


def options_of(command: Any) -> set[str]:
    found = {option for each in command.params for option in each.opts}
    return found.union(*(options_of(each) for each in getattr(command, "commands", {}).values()))


def shown(page: Path) -> list[tuple[str, list[str]]]:
    return [
        (name, re.findall(r"(?<=\s)--[a-z][\w-]+", rest.partition(" -- ")[0]))
        for name, rest in SHOWN.findall(page.read_text("utf-8"))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_command_and_option_on_a_page_is_there(page: Path) -> None:
    wrong = [
        (name, option)
        for name, options in shown(page)
        for option in options
        if name not in COMMANDS or option not in options_of(imported(name)) | {"--help"}
    ]

    assert wrong == []


def test_the_pages_show_commands() -> None:
    assert sum(len(shown(page)) for page in PAGES) > 50
