"""The commands of `bidi`, each imported only when it is asked for.

`bidi --help` has to answer within a blink, and `bidi serve` to listen within one; the SDK, the
audio libraries and the contract tests would take longer to import than all that either does.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from sagemaker_bidi.commands.failing import fail
from sagemaker_bidi.extras import ExtraMissing, needs


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or a group of them, before it is imported.

    Args:
        module: has `register(app: typer.Typer)`, which adds it.
        help: what the help page says: the first paragraph of its own.
        extra: that it needs.
    """

    module: str
    help: str
    extra: str = ""


COMMANDS = {
    "assumptions": Command(
        "sagemaker_bidi.commands.assumptions",
        "List what the emulator assumes where AWS has published nothing.",
    ),
    "check": Command(
        "sagemaker_bidi_contract.cli",
        "Hold a container or an endpoint to SageMaker's contract, and report clause by clause.",
    ),
    "demo": Command(
        "sagemaker_bidi.commands.demo",
        "Speech to words on this machine: real SDK, emulator, bridge and a stand-in model.",
        extra="demo",
    ),
    "faults": Command(
        "sagemaker_bidi.commands.faults",
        "Fault plans of an emulator that runs with --control-port.",
    ),
    "har": Command("sagemaker_bidi.commands.har", "Recordings to and from HAR files."),
    "record": Command(
        "sagemaker_bidi.commands.record",
        "Record every session that goes through, until Ctrl-C or SIGTERM.",
    ),
    "replay": Command(
        "sagemaker_bidi.commands.replay",
        "Play recordings to a target and compare, or play a container to a client.",
    ),
    "scenario": Command(
        "sagemaker_bidi.commands.scenarios",
        "Explain a failure: what it is, why it happens, what to do, and how to reproduce it.",
    ),
    "scenarios": Command(
        "sagemaker_bidi.commands.scenarios", "List the failures that have a name, by group."
    ),
    "serve": Command(
        "sagemaker_bidi.commands.serve", "Run the emulator until Ctrl-C, SIGTERM or SIGHUP."
    ),
    "transcribe": Command(
        "sagemaker_bidi_client.cli",
        "Stream a recording to an endpoint and print its transcript as it comes.",
        extra="client",
    ),
    "trust": Command(
        "sagemaker_bidi.commands.trust",
        "Print the environment that a client needs, or run a command in it.",
    ),
}


class _Unimported(TyperCommand):
    """Stands for a command on the help page and in a shell's completion."""


class Commands(TyperGroup):
    """The group of `bidi`."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, command in COMMANDS.items():
            self.commands.setdefault(name, _Unimported(name, help=command.help))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that a command line names, with the rest of that line."""
        if isinstance(self.commands.get(args[0]), _Unimported):
            self.commands[args[0]] = imported(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; one that lacks an extra says which."""
        try:
            return super().invoke(ctx)
        except ExtraMissing as error:
            fail(error)


def imported(name: str) -> Any:
    """Import a command of `COMMANDS`.

    Raises:
        ExtraMissing: it needs one.
    """
    command = COMMANDS[name]
    room = typer.Typer()
    # A second command makes it a group, whatever the module registers.
    room.command("_")(lambda: None)
    with needs(command.extra, f"bidi {name}"):
        importlib.import_module(command.module).register(room)
    return typer.main.get_group(room).commands[name]
