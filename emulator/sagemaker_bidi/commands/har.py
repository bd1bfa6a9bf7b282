"""The commands `bidi har export` and `bidi har import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sagemaker_bidi.commands.failing import fail
from sagemaker_bidi.commands.provenance import PROVENANCE
from sagemaker_bidi.commands.provenance import provenance as read_provenance
from sagemaker_bidi.recordings.files import RecordingError, read_recording, write_recording
from sagemaker_bidi.recordings.har import to_har
from sagemaker_bidi.recordings.har_import import from_har


def register(app: typer.Typer) -> None:
    """Add `har` with `export` and `import` to a command line."""
    har = typer.Typer(help="Recordings to and from HAR files.", no_args_is_help=True)
    har.command("export")(export)
    har.command("import")(import_)
    app.add_typer(har, name="har")


def export(
    recording: Annotated[Path, typer.Argument(help="A recording.")],
    out: Annotated[Path, typer.Argument(help="The HAR file to write.")],
) -> None:
    """Write a recording as HAR, as Chrome shows WebSockets."""
    try:
        out.write_text(to_har(read_recording(recording)), "utf-8")
    except (RecordingError, OSError) as error:
        fail(error)
    typer.echo(f"written: {out}")


def import_(
    har: Annotated[Path, typer.Argument(help="A HAR file.")],
    out: Annotated[Path, typer.Argument(help="The recording to write.")],
    provenance: Annotated[str | None, PROVENANCE] = None,
    entry: Annotated[
        int | None, typer.Option("--entry", min=1, help="Which WebSocket session of several.")
    ] = None,
) -> None:
    """Make a recording of a WebSocket session in a HAR file."""
    given = None if provenance is None else read_provenance(provenance)
    try:
        header, events = from_har(har, provenance=given, entry=entry)
        write_recording(out, header, events)
    except (RecordingError, OSError) as error:
        fail(error)
    typer.echo(f"written: {out}")
