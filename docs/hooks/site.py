"""MkDocs hooks: what is made when the site is built, and is not committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.hooks.messages import messages
from docs.hooks.options import options
from docs.hooks.scenario_pages import pages
from sagemaker_bidi.scenarios import GROUPS, scenarios
from tests.scenarios.facts import read_facts

SCENARIOS = "scenarios/index.md"
# In place of a comment of that name.
MADE: Mapping[str, Callable[[], str]] = {
    "<!-- messages -->": lambda: messages(read_facts()),
    "<!-- options -->": options,
}


def on_config(config: MkDocsConfig) -> None:
    """The navigation lists the catalogue by its groups, under the page that explains it."""
    groups = [
        {title: [f"scenarios/{each.name}.md" for each in scenarios() if each.group == group]}
        for group, title in GROUPS.items()
    ]
    config.nav = [
        {title: [SCENARIOS, *groups] if place == SCENARIOS else place}
        for section in config.nav or []
        for title, place in section.items()
    ]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """The catalogue's pages."""
    for name, text in pages(read_facts()).items():
        files.append(File.generated(config, f"scenarios/{name}", content=text))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The parts of pages that are made."""
    for place, make in MADE.items():
        if place in markdown:
            markdown = markdown.replace(place, make())
    return markdown
