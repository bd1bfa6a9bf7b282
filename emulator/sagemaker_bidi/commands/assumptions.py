"""The command `bidi assumptions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sagemaker_bidi.commands.failing import USAGE, fail
from sagemaker_bidi.config import ConfigError, load_config
from sagemaker_bidi.contract.settings import assumptions


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("assumptions")(list_assumptions)


def list_assumptions(
    config: Annotated[
        Path | None, typer.Option("--config", help="The TOML file of bidi serve.")
    ] = None,
) -> None:
    """List what the emulator assumes where AWS has published nothing.

    Each is a setting of the table [contract] in the file of --config.
    """
    try:
        settings = load_config(config).contract_settings()
    except ConfigError as error:
        fail(error, USAGE)
    table = Table(box=None, pad_edge=False)
    for title in ("clause", "is", "what", "setting"):
        table.add_column(title, no_wrap=title == "clause")
    for name, value, choice in assumptions(settings):
        cells = (choice.clause, choice.provenance, choice.says, f"{name} = {value}")
        table.add_row(*map(Text, cells))
    Console(highlight=False).print(table)
