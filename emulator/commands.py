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
        "check": "contract_tests.cli",
        "faults": "emulator.taps.control_cli",
        "har": "emulator.recordings.cli",
        "record": "emulator.recordings.cli",
        "replay": "emulator.recordings.cli",
        "scenario": "emulator.scenarios.cli",
        "scenarios": "emulator.scenarios.cli",
        "transcribe": "client.cli",
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
