"""The options of every command, from the command line's own definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sagemaker_bidi.commands.group import COMMANDS, imported


def options() -> str:
    """A section for each command, in Markdown."""
    return "\n".join(line for name in COMMANDS for line in _section(f"bidi {name}", imported(name)))


def _section(title: str, command: Any) -> Iterator[str]:
    yield from ("", f"### {title}", "", (command.help or "").strip(), "")
    if hasattr(command, "commands"):
        for name, each in command.commands.items():
            yield from (line.replace("### ", "#### ") for line in _section(f"{title} {name}", each))
        return
    rows = [each for each in command.params if each.name != "help"]
    if rows:
        yield from ("| | |", "|---|---|")
    for each in rows:
        yield f"| {_named(each)} | {_flat(getattr(each, 'help', '') or '')} |"


def _named(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_flat(parameter.metavar or parameter.name.upper())}`"
    value = "" if parameter.is_flag else f" {_flat(parameter.metavar or parameter.name.upper())}"
    return ", ".join(f"`{option}{value}`" for option in parameter.opts)


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
