"""The command `bidi transcribe`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from sagemaker_bidi_client import events
from sagemaker_bidi_client.audio import Audio, AudioError, Raw, load
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.errors import StreamError, UnusableValue
from sagemaker_bidi_client.events import Event, Result
from sagemaker_bidi_client.transcription import Delivery, transcribe

USAGE = 2
"""Exit status for a command line that can't work."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 + SIGINT."""


def register(app: typer.Typer) -> None:
    """Add the command `transcribe` to a command line."""
    app.command("transcribe")(transcribe_file)


def transcribe_file(
    file: Annotated[
        Path, typer.Argument(help="A recording: WAV, FLAC, OGG, MP3, any rate; - for a pipe.")
    ],
    endpoint_name: Annotated[
        str, typer.Option("--endpoint-name", help="The SageMaker endpoint's name.")
    ],
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            "--endpoint-url",
            help="Where the service is, for example https://localhost:8443. "
            "Without it: AWS's own in the region, or the SDK's settings.",
        ),
    ] = None,
    region: Annotated[
        str | None, typer.Option("--region", help="The AWS region; else AWS_REGION or the profile.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="The model's name; none means the one that is served.")
    ] = "",
    speed: Annotated[
        float,
        typer.Option("--speed", min=0.0, help="Times as fast as speech; 0: as fast as it goes."),
    ] = 1.0,
    target_variant: Annotated[
        str | None, typer.Option("--target-variant", help="The production variant to ask.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="Certificates to trust in place of the system's."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the transcript and errors alone.")
    ] = False,
    raw: Annotated[
        Raw | None,
        typer.Option(
            "--raw",
            parser=Raw.parse,
            metavar="RATE[:ENCODING]",
            help="It has no header: one channel of pcm16, ulaw or alaw, such as 8000:ulaw.",
        ),
    ] = None,
) -> None:
    """Stream a recording to an endpoint and print its transcript as it comes.

    The transcript goes to standard output, everything else to standard error.
    """
    try:
        audio = load(file, raw=raw)
        if audio.note and not quiet:
            typer.echo(f"note: {audio.note}", err=True)
        asyncio.run(
            _transcribe(
                audio,
                Delivery(model=model, speed=speed),
                endpoint_name=endpoint_name,
                endpoint_url=endpoint_url,
                region=region,
                target_variant=target_variant,
                ca=ca,
                quiet=quiet,
            )
        )
    except KeyboardInterrupt:
        typer.echo("\ninterrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except (AudioError, UnusableValue) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(USAGE) from None
    except StreamError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


async def _transcribe(
    audio: Audio,
    delivery: Delivery,
    *,
    endpoint_name: str,
    endpoint_url: str | None,
    region: str | None,
    target_variant: str | None,
    ca: Path | None,
    quiet: bool,
) -> None:
    errors = Console(stderr=True)
    with Progress(
        TextColumn("audio"),
        BarColumn(),
        TextColumn("{task.completed:.1f} of {task.total:.1f} s"),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        # The bar and the words would write over each other where both go to one terminal.
        disable=quiet or not errors.is_terminal or sys.stdout.isatty(),
    ) as progress:
        bar = progress.add_task("audio", total=audio.seconds)
        words = _Words(sys.stdout.write, sys.stdout.flush)
        try:
            async with open_stream(
                endpoint_name,
                endpoint_url=endpoint_url,
                region=region,
                target_variant=target_variant,
                ca=ca,
            ) as stream:
                result = await transcribe(
                    audio, stream, delivery, on_event=_show(words, progress, bar, audio.seconds)
                )
        finally:
            words.end()
    if not quiet:
        errors.print(Text(summary(audio, result)), highlight=False, soft_wrap=True)


def _show(
    words: _Words, progress: Progress, bar: TaskID, seconds: float
) -> Callable[[Event], None]:
    def show(event: Event) -> None:
        match event:
            case events.ChunkSent(index=index, total=total):
                progress.update(bar, completed=seconds * (index + 1) / total)
            case events.Delta(text=text):
                words.add(text)
            case events.Done(text=text):
                words.complete(text)

    return show


class _Words:
    """Prints words as they come, so that standard output holds exactly the transcript."""

    def __init__(self, write: Callable[[str], object], flush: Callable[[], None]) -> None:
        self._write = write
        self._flush = flush
        self._printed = ""

    def add(self, text: str) -> None:
        self._write(text)
        self._flush()
        self._printed += text

    def complete(self, text: str) -> None:
        """Print what the final transcript has beyond the words so far."""
        if text.startswith(self._printed):
            self.add(text[len(self._printed) :])
        elif text != self._printed:
            # What is printed stays printed: the corrected transcript gets a line of its own.
            self._write(f"\n{text}")
            self._printed = text

    def end(self) -> None:
        if self._printed:
            self._write("\n")
            self._flush()


def summary(audio: Audio, result: Result) -> str:
    """Tell the timing of a transcription in a few lines, in seconds from the start."""
    timing = result.timing
    rows = [
        ("stream open", timing.stream_open),
        ("first chunk sent", timing.first_chunk_sent),
        ("first words", timing.first_words),
        ("last chunk sent", timing.last_chunk_sent),
        ("final transcript", timing.final),
    ]
    reached = sorted((at, name) for name, at in rows if at is not None)
    lines = [f"{name:<17}{at:8.3f} s" for at, name in reached]
    if timing.final is not None and timing.last_chunk_sent is not None:
        lines.append(f"{'after the audio':<17}{timing.final - timing.last_chunk_sent:8.3f} s")
    lines.append(f"{audio.seconds:.2f} s of audio, {result.chunks} chunks, {result.deltas} deltas")
    return "\n".join(lines)
