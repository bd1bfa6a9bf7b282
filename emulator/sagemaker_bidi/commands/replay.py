"""The command `bidi replay`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from sagemaker_bidi.commands.failing import FAILED, INTERRUPTED, USAGE, fail
from sagemaker_bidi.recordings.files import (
    SUFFIX,
    Recording,
    RecordingError,
    read_recording,
    within,
)
from sagemaker_bidi.replay.compare import IGNORED, MODES, Mode
from sagemaker_bidi.replay.play import play
from sagemaker_bidi.replay.playback import Playback
from sagemaker_bidi.replay.report import outcome_lines, played_lines
from sagemaker_bidi.replay.side import Pace
from sagemaker_bidi.replay.targets import Target
from sagemaker_bidi.shown import plain
from sagemaker_bidi_fixtures.containers.server import PortTaken as ContainerPortTaken


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("replay")(replay)


def replay(
    recordings: Annotated[
        list[Path],
        typer.Argument(help="Recordings, or folders of recordings.", metavar="RECORDING…"),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TARGET",
            help="Play the client's side to ws://HOST:PORT or https://HOST:8443/ENDPOINT-NAME.",
        ),
    ] = None,
    as_container: Annotated[
        int | None,
        typer.Option(
            "--as-container",
            metavar="PORT",
            min=0,
            max=65535,
            help="Play the container's side there; 0: a free one.",
        ),
    ] = None,
    speed: Annotated[
        float,
        typer.Option("--speed", min=0.0, help="Times as fast as recorded; 0: as fast as it goes."),
    ] = 1.0,
    compare: Annotated[str, typer.Option("--compare", help="exact, json or text.")] = "json",
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="NAME", help="A JSON member to leave out as well."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds to wait for what was recorded.")
    ] = 30.0,
    sessions: Annotated[
        int, typer.Option("--sessions", min=0, help="As a container, stop after so many; 0: never.")
    ] = 0,
) -> None:
    """Play recordings to a target and compare, or play a container to a client.

    Exit status: 0 where everything was as recorded, 1 where not or where nothing was played, 2 for
    a wrong command line.
    """
    if (to is None) == (as_container is None):
        fail("give either --to TARGET or --as-container PORT", USAGE)
    if compare not in MODES:
        fail(f"--compare {compare}: expected {', '.join(MODES)}", USAGE)
    ignored = (*IGNORED, *(ignore or ()))
    pace = Pace(speed, timeout)
    mode = cast(Mode, compare)
    target = None if to is None else _target(to)
    try:
        found = [read_recording(path) for path in within(recordings)]
        if not found:
            raise RecordingError(f"no recording (*{SUFFIX}) in {', '.join(map(str, recordings))}")
        if target is not None:
            alike = asyncio.run(_replay(found, target, mode, pace, ignored))
        else:
            assert as_container is not None
            alike = asyncio.run(_as_container(found, as_container, mode, pace, ignored, sessions))
    except RecordingError as error:
        fail(f"nothing was played: {error}", USAGE)
    except (OSError, ContainerPortTaken) as error:
        fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(0 if alike else FAILED)


async def _replay(
    recordings: Sequence[Recording],
    target: Target,
    mode: Mode,
    pace: Pace,
    ignored: tuple[str, ...],
) -> bool:
    alike = True
    for recording in recordings:
        try:
            outcome = await play(recording, target, mode=mode, pace=pace, ignored=ignored)
        except RecordingError as error:
            typer.echo(f"FAIL  {plain(str(error))}")
            alike = False
            continue
        alike = alike and outcome.alike
        for line in outcome_lines(outcome, recordings, mode, ignored):
            typer.echo(plain(line))
    return alike


async def _as_container(
    recordings: Sequence[Recording],
    port: int,
    mode: Mode,
    pace: Pace,
    ignored: tuple[str, ...],
    sessions: int,
) -> bool:
    alike = True
    shown = 0
    async with Playback(
        recordings, port=port, repeat=True, mode=mode, pace=pace, ignored=ignored
    ) as container:
        typer.echo(f"# container on {container.url}")
        while not sessions or shown < sessions:
            played = (await container.wait_for_played(shown + 1))[shown]
            shown += 1
            alike = alike and played.alike
            for line in played_lines(played, mode):
                typer.echo(plain(line))
    return alike


def _target(text: str) -> Target:
    try:
        return Target.parse(text)
    except ValueError as error:
        fail(f"--to {text}: {error}", USAGE)
