"""Commands that live in other rooms, imported only when they are asked for.

`bidi serve` has to listen within a blink; the SDK, the audio libraries and the contract tests
would take longer to import than all that it does.
"""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class Commands(TyperGroup):
    """The group of `bidi`: its own commands, and those that `ROOMS` name.

    Each module has `register(app: typer.Typer)`, which adds its commands.
    """

    ROOMS: ClassVar[dict[str, str]] = {
        "check": "sagemaker_bidi_contract.cli",
        "faults": "sagemaker_bidi.commands.faults",
        "har": "sagemaker_bidi.commands.recordings",
        "record": "sagemaker_bidi.commands.recordings",
        "replay": "sagemaker_bidi.commands.recordings",
        "scenario": "sagemaker_bidi.commands.scenarios",
        "scenarios": "sagemaker_bidi.commands.scenarios",
        "transcribe": "sagemaker_bidi_client.cli",
    }

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, for the help page."""
        return sorted({*super().list_commands(ctx), *self.ROOMS})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by name; None where there is none."""
        if cmd_name not in self.commands and cmd_name in self.ROOMS:
            room = typer.Typer()
            # A second command makes it a group, whatever the module registers.
            room.command("_")(lambda: None)
            importlib.import_module(self.ROOMS[cmd_name]).register(room)
            group = typer.main.get_group(room)
            self.commands[cmd_name] = group.commands[cmd_name]
        return super().get_command(ctx, cmd_name)
