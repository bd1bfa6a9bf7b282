"""What docs/faults.md shows is what runs."""

from __future__ import annotations

import dataclasses
import random
import re
import shlex
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sagemaker_bidi.commands.faults import register
from sagemaker_bidi.faults.kinds import FAULTS
from sagemaker_bidi.faults.plan import PASSING, Rule, When, points_of, read_plan
from sagemaker_bidi.scenarios.written import written
from tests.faults.dice import DRAWN
from tests.faults.faulted import faulted
from tests.faults.test_faults_on_items import opened, send, texts

PAGE = (Path(__file__).parents[2] / "docs" / "faults.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def rows(first_cell: str) -> list[list[str]]:
    """The rows of the table whose head begins so."""
    head = re.search(rf"^\| {re.escape(first_cell)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.M)
    assert head is not None
    lines = head.group(1).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_plan_of_the_page_is_a_plan() -> None:
    [text] = blocks("toml")
    plan = read_plan(tomllib.loads(text), name="slow-and-torn", where="docs/faults.md")

    assert plan.seed == 7
    assert [rule.fault.name for rule in plan.rules] == ["delay", "drop", "kill-container"]
    assert plan.rules[2].when == When("opened", at=60.0, sessions=1)


def test_the_page_lists_every_fault_with_its_fields() -> None:
    listed = {names(row[0])[0]: names(row[2]) for row in rows("`do`")}

    assert listed == {
        name: [each.name for each in dataclasses.fields(kind)]  # type: ignore[arg-type]
        for name, kind in FAULTS.items()
    }


def test_the_page_says_where_each_fault_can_act() -> None:
    told = {names(row[0])[0]: row[3] for row in rows("`do`")}
    for make in DRAWN:
        fault = make(random.Random(0))
        points = set(points_of(fault))
        said = set[str]()
        for word in told[fault.name].split(", "):
            said |= {"passing": {*PASSING}, "session": {*PASSING, "opened"}}.get(word, {word})
        if fault.name != "corrupt":
            assert points == said, fault.name


def test_the_page_lists_every_condition() -> None:
    listed = [name for row in rows("field") for name in names(row[0])]

    assert sorted(listed) == sorted(each.name for each in dataclasses.fields(When))


def test_the_commands_of_the_page_are_there() -> None:
    app = typer.Typer()
    register(app)
    app.command("_")(lambda: None)
    lines = [line for block in blocks("console") for line in block.splitlines()]
    for line in lines:
        program, command, *rest = shlex.split(line)
        assert (program, command) in {("bidi", "serve"), ("bidi", "faults")}
        if command == "faults":
            shown = CliRunner().invoke(app, ["faults", rest[0], "--help"])
            assert shown.exit_code == 0, line
        if "container-" in (named := rest[-1]):
            assert written(named).plan().rules, line


def test_the_tests_of_the_page_are_python() -> None:
    for text in blocks("python"):
        compile(text, "docs/faults.md", "exec")


@pytest.fixture
def pad() -> Iterator[type]:
    """The fault that the page writes, registered for one test."""
    [text] = [block for block in blocks("python") if "@fault" in block]
    module = types.ModuleType("pad_of_the_page")
    sys.modules[module.__name__] = module
    exec(compile(text, "docs/faults.md", "exec"), module.__dict__)
    yield module.Pad
    del FAULTS["pad"], sys.modules[module.__name__]


async def test_the_fault_of_the_page_does_what_it_says(pad: type) -> None:
    table = {"rules": [{"do": "pad", "bytes": 3, "when": {"point": "from-container"}}]}
    plan = read_plan(table, name="padded", where="here")
    assert plan.rules == (Rule(pad(3), When("from-container")),)
    async with faulted(*plan.rules) as w:
        stream = await opened(w)
        await send(stream, "{}")
        assert await texts(stream, 1) == [b"{}   "]
