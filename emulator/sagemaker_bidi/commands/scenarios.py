"""The commands `bidi scenarios` and `bidi scenario NAME`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from sagemaker_bidi.commands.failing import USAGE, fail
from sagemaker_bidi.contract.ledger import ledger
from sagemaker_bidi.scenarios import GROUPS, Scenario, ScenarioError, scenario, scenarios
from sagemaker_bidi.scenarios.written import SYNTAX, option


def register(app: typer.Typer) -> None:
    """Add the commands `scenarios` and `scenario` to a command line."""
    app.command("scenarios")(list_scenarios)
    app.command("scenario")(explain_scenario)


def list_scenarios() -> None:
    """List the failures that have a name, by group."""
    console = Console(highlight=False)
    for group, title in GROUPS.items():
        table = Table(title=title, title_justify="left", box=None, show_header=False, expand=False)
        table.add_column(no_wrap=True)
        table.add_column()
        for each in scenarios():
            if each.group == group:
                needs = f" (needs a {_words(each.needs)})" if each.needs else ""
                table.add_row(each.name, each.title + needs)
        console.print(table)
        console.print()
    console.print("bidi scenario NAME explains one; bidi serve --scenario NAME reproduces it.")


def explain_scenario(name: Annotated[str, typer.Argument(help="A name of the list.")]) -> None:
    """Explain a failure: what it is, why it happens, what to do, and how to reproduce it."""
    try:
        show(Console(highlight=False), scenario(name))
    except ScenarioError as error:
        fail(error, USAGE)


def show(console: Console, chosen: Scenario) -> None:
    """Print what there is to know about a scenario."""
    console.print(f"[bold]{chosen.name}[/bold]  {chosen.title}", soft_wrap=True)
    for title, text in (("What", chosen.what), ("Why", chosen.why), ("What to do", chosen.do)):
        _section(console, title, text)
    rules = (ledger().clause(each) for each in chosen.clauses)
    _section(
        console,
        "Clauses",
        "\n".join(f"{rule.id}  {rule.title} ({rule.provenance})" for rule in rules),
    )
    if chosen.needs:
        _section(console, "Needs", f"a {_words(chosen.needs)}, beside the emulator")
        return
    if chosen.parameters:
        lines = (f"{p.name} = {_shown(p.default)}  {p.meaning}" for p in chosen.parameters.values())
        _section(console, "Parameters", "\n".join((*lines, SYNTAX)))
    if chosen.note:
        _section(console, "How it is reproduced", chosen.note)
    # Unbroken, to be copied.
    console.print(f"\n[bold]Command[/bold]\n  {chosen.command}", soft_wrap=True)
    if chosen.parameters:
        console.print(f"  with parameters: {option(chosen)}", soft_wrap=True, markup=False)
    console.print("\n[bold]In a test[/bold]")
    console.print(f"  {chosen.test_line}", soft_wrap=True, markup=False)


def _shown(default: object) -> object:
    return "all" if default is None else default


def _section(console: Console, title: str, text: str) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    console.print(Padding(text, (0, 0, 0, 2)), markup=False)


def _words(needs: str) -> str:
    return needs.replace("-", " ")
