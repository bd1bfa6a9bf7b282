"""What the SDK shows of every scenario is what the pages say."""

from __future__ import annotations

import pytest
import pytest_asyncio

from docs.hooks.scenario_pages import pages
from sagemaker_bidi.scenarios import scenarios
from tests.scenarios.facts import Facts, read_facts
from tests.scenarios.play import RELEASES, play_all

USABLE = [each.name for each in scenarios() if not each.needs]


def test_there_is_a_page_for_every_scenario_and_one_that_lists_them() -> None:
    made = pages(read_facts())
    assert sorted(made) == sorted(["index.md", *(f"{each.name}.md" for each in scenarios())])
    assert all(f"({name})" in made["index.md"] for name in made if name != "index.md")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen() -> Facts:
    """Every scenario, played on every release."""
    return await play_all()


@pytest.mark.sdk
@pytest.mark.asyncio(loop_scope="module")
async def test_the_releases_are_those_of_the_pages(seen: Facts) -> None:
    assert seen["versions"] == read_facts()["versions"]


@pytest.mark.sdk
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", USABLE)
async def test_the_sdk_shows_what_the_page_says(name: str, release: str, seen: Facts) -> None:
    expected = read_facts()["scenarios"][name][release]
    assert seen["scenarios"][name][release] == expected, (
        f"what SDK {release} shows of {name} is no longer what docs/scenarios/facts.json says; "
        "if that is right, run `make scenarios`"
    )
