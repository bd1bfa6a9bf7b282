"""The commands `bidi record`, `bidi replay` and `bidi har`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

import typer

from sagemaker_bidi.config import DEFAULT_PORT, ConfigError, load_config
from sagemaker_bidi.emulator import PortTaken
from sagemaker_bidi.recordings.files import (
    SUFFIX,
    Recording,
    RecordingError,
    check_folder,
    read_recording,
    within,
)
from sagemaker_bidi.recordings.files import write_recording as write
from sagemaker_bidi.recordings.format import PROVENANCES, Provenance
from sagemaker_bidi.recordings.har import to_har
from sagemaker_bidi.recordings.har_import import from_har
from sagemaker_bidi.replay.compare import IGNORED, MODES, Mode
from sagemaker_bidi.replay.play import Pace, play
from sagemaker_bidi.replay.playback import Playback
from sagemaker_bidi.replay.report import outcome_lines, played_lines
from sagemaker_bidi.replay.targets import Target
from sagemaker_bidi_fixtures.containers.server import PortTaken as ContainerPortTaken

USAGE = 2
INTERRUPTED = 130

_PROVENANCE = typer.Option(
    "--provenance", help=f"What answers: {', '.join(map(repr, PROVENANCES))}."
)


def register(app: typer.Typer) -> None:
    """Add the commands `record`, `replay` and `har` to a command line."""
    app.command("record")(record)
    app.command("replay")(replay)
    har = typer.Typer(help="Recordings to and from HAR files.", no_args_is_help=True)
    har.command("export")(har_export)
    har.command("import")(har_import)
    app.add_typer(har, name="har")


def record(
    endpoint: Annotated[
        list[str],
        typer.Option(
            "--endpoint",
            metavar="NAME=ADDRESS",
            help="What to stand in front of: a container, ws://HOST:PORT, or an endpoint, "
            "https://HOST:8443/ENDPOINT-NAME; may be given again.",
        ),
    ],
    directory: Annotated[Path, typer.Option("--to", help="The folder for the recordings.")],
    redact: Annotated[
        bool, typer.Option("--redact", help="Leave payloads out; keep sizes, hashes and types.")
    ] = False,
    provenance: Annotated[str, _PROVENANCE] = "unknown",
    container: Annotated[str, typer.Option("--container", help="What the container is.")] = "",
    vllm: Annotated[str, typer.Option("--vllm", help="vLLM's version.")] = "",
    hardware: Annotated[str, typer.Option("--hardware", help="What it runs on.")] = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = DEFAULT_PORT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the details.")] = False,
) -> None:
    """Record every session that goes through, until Ctrl-C or SIGTERM.

    In front of an endpoint, requests are signed anew with the credentials that the AWS SDK finds.
    """
    from sagemaker_bidi.serving.announce import log_to_stderr
    from sagemaker_bidi.serving.serve import run_here

    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    settings = {
        "directory": directory,
        "redact": redact,
        "provenance": _provenance(provenance),
        "container": container,
        "vllm": vllm,
        "hardware": hardware,
    }
    try:
        config = load_config(
            overrides={
                "host": host,
                "port": port,
                "endpoints": _endpoints(endpoint),
                "record": settings,
            }
        )
        check_folder(directory)
        status = run_here(config)
    except (ConfigError, ValueError) as error:
        _fail(error, USAGE)
    except (PortTaken, OSError) as error:
        _fail(error, 1)
    raise typer.Exit(status)


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
    patience: Annotated[
        float, typer.Option("--patience", min=0.1, help="Seconds to wait for what was recorded.")
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
        _fail("give either --to TARGET or --as-container PORT", USAGE)
    if compare not in MODES:
        _fail(f"--compare {compare}: expected {', '.join(MODES)}", USAGE)
    ignored = (*IGNORED, *(ignore or ()))
    pace = Pace(speed, patience)
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
        _fail(f"nothing was played: {error}", 1)
    except (OSError, ContainerPortTaken) as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(0 if alike else 1)


def har_export(
    recording: Annotated[Path, typer.Argument(help="A recording.")],
    out: Annotated[Path, typer.Argument(help="The HAR file to write.")],
) -> None:
    """Write a recording as HAR, as Chrome shows WebSockets."""
    try:
        out.write_text(to_har(read_recording(recording)), "utf-8")
    except (RecordingError, OSError) as error:
        _fail(error, 1)
    typer.echo(f"written: {out}")


def har_import(
    har: Annotated[Path, typer.Argument(help="A HAR file.")],
    out: Annotated[Path, typer.Argument(help="The recording to write.")],
    provenance: Annotated[str | None, _PROVENANCE] = None,
    entry: Annotated[
        int | None, typer.Option("--entry", min=1, help="Which WebSocket session of several.")
    ] = None,
) -> None:
    """Make a recording of a WebSocket session in a HAR file."""
    given = None if provenance is None else _provenance(provenance)
    try:
        header, events = from_har(har, provenance=given, entry=entry)
        write(out, header, events)
    except (RecordingError, OSError) as error:
        _fail(error, 1)
    typer.echo(f"written: {out}")


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
            typer.echo(f"FAIL  {error}")
            alike = False
            continue
        alike = alike and outcome.alike
        for line in outcome_lines(outcome, recordings, mode, ignored):
            typer.echo(line)
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
                typer.echo(line)
    return alike


def _target(text: str) -> Target:
    try:
        return Target.parse(text)
    except ValueError as error:
        _fail(f"--to {text}: {error}", USAGE)


def _endpoints(options: Sequence[str]) -> dict[str, dict[str, Any]]:
    endpoints: dict[str, dict[str, Any]] = {}
    for option in options:
        name, _, url = option.partition("=")
        if not name or not url or name in endpoints:
            raise ValueError(f"--endpoint {option}: write it as NAME=ADDRESS, each name once")
        endpoints[name] = {"url": url}
    return endpoints


def _provenance(text: str) -> Provenance:
    if text not in PROVENANCES:
        _fail(f"--provenance {text!r}: expected one of {', '.join(PROVENANCES)}", USAGE)
    return text


def _fail(error: object, status: int) -> NoReturn:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {text}"
    typer.echo(f"error: {text}", err=True)
    raise typer.Exit(status) from None
