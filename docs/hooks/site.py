"""MkDocs hooks: pages that are made when the site is built, and are not committed."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.hooks.scenario_pages import pages
from sagemaker_bidi.scenarios import GROUPS, scenarios
from tests.scenarios.facts import read_facts

SCENARIOS = "scenarios/index.md"


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
