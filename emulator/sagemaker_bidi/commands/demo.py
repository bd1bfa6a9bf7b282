"""The command `bidi demo`."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sagemaker_bidi.commands.failing import FAILED, INTERRUPTED, USAGE, fail
from sagemaker_bidi.demo.command import DemoFailed, NoSpeech, show_demo, show_scenario
from sagemaker_bidi.serving.announce import log_to_stderr


class Engine(StrEnum):
    """What listens in the demo."""

    STAND_IN = "stand-in"
    VLLM = "vllm"


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("demo")(demo)


def demo(
    audio: Annotated[
        Path | None,
        typer.Option("--audio", help="A recording of your own: WAV, FLAC, OGG, MP3, any rate."),
    ] = None,
    engine: Annotated[
        Engine, typer.Option("--engine", help="The stand-in, or vLLM's real engine on the CPU.")
    ] = Engine.STAND_IN,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="Show a failure: see bidi scenarios.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="The emulator's port; 0: a free one.")] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the log.")] = False,
) -> None:
    """Speech to words on this machine: real SDK, emulator, bridge and a stand-in model."""
    if scenario is not None and engine is Engine.VLLM:
        fail("--scenario is shown on the stand-in only; leave --engine vllm out", USAGE)
    log_to_stderr(logging.INFO if verbose else logging.ERROR)
    try:
        if scenario is not None:
            passed = show_scenario(scenario, audio, port=port)
        else:
            passed = show_demo(audio, real=engine is Engine.VLLM, port=port)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except DemoFailed as error:
        fail(error, USAGE if isinstance(error, NoSpeech) else FAILED)
    if not passed:
        raise typer.Exit(FAILED)
