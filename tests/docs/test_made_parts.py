"""What the site's hooks put into pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.hooks.messages import messages
from docs.hooks.options import options
from sagemaker_bidi.commands.group import COMMANDS
from tests.scenarios.facts import read_facts


def test_a_message_of_the_sdk_leads_to_the_scenario_that_showed_it() -> None:
    (row,) = (
        line for line in messages(read_facts()).splitlines() if "closed the connection" in line
    )

    assert row.startswith("| `Model container closed the connection.` | `ModelStreamError` | ")
    assert "[container-dies](scenarios/container-dies.md)" in row


def test_messages_that_differ_by_an_id_are_one_row() -> None:
    seen = {
        "at": "receive",
        "saw": "exception",
        "type": "Error",
    }
    facts = {
        "scenarios": {
            name: {"newest": {"client": [[{**seen, "message": f"expected 0x{name}"}]]}}
            for name in ("a1", "b2")
        }
    }

    assert messages(facts).splitlines()[2:] == [
        "| `expected …` | `Error` | [a1](scenarios/a1.md), [b2](scenarios/b2.md) |"
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_section(name: str) -> None:
    assert f"### bidi {name}\n" in options()


def test_an_option_is_told_with_what_it_takes_and_does() -> None:
    assert "| `--port PORT` | The emulator's port. |" in options()


def test_the_page_of_pytest_lists_every_fixture_of_the_plugin() -> None:
    top = Path(__file__).parents[2]
    source = (top / "emulator/sagemaker_bidi/testing/plugin.py").read_text("utf-8")
    page = (top / "docs/how-to/pytest.md").read_text("utf-8")

    fixtures = re.findall(r"^@pytest\.fixture.*\ndef (\w+)", source, re.MULTILINE)
    assert "emulator" in fixtures
    assert set(re.findall(r"^        - (\w+)$", page, re.MULTILINE)) == set(fixtures)
