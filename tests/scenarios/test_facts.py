"""What the SDK shows of every scenario is what the pages say."""

from __future__ import annotations

import pytest
import pytest_asyncio

from sagemaker_bidi.scenarios import scenarios
from tests.scenarios.pages import FOLDER, Facts, pages, read_facts
from tests.scenarios.play import RELEASES, play_all

USABLE = [each.name for each in scenarios() if not each.needs]


def test_the_pages_are_made_from_the_facts_and_the_catalogue() -> None:
    written = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    made = pages(read_facts())
    assert sorted(written) == sorted(made)
    stale = [name for name, page in made.items() if written[name] != page]
    assert stale == [], "run `python -m tests.scenarios.pages --pages`"


def test_every_link_of_a_page_leads_somewhere() -> None:
    contract = (FOLDER.parent / "contract.md").read_text("utf-8")
    headings = {
        "".join(c for c in line[4:].lower() if c.isalnum() or c in " -").replace(" ", "-")
        for line in contract.splitlines()
        if line.startswith("### ")
    }
    linked = {
        part.partition(")")[0]
        for page in pages(read_facts()).values()
        for part in page.split("../contract.md#")[1:]
    }
    assert linked
    assert linked <= headings


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
        f"what SDK {release} shows of {name} is no longer what docs/scenarios/{name}.md says; "
        "if that is right, run `make scenarios`"
    )
