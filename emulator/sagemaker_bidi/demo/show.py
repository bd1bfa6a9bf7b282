"""What a person sees of the demo: words as they come, a progress bar, the timing."""

from __future__ import annotations

from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from sagemaker_bidi.demo.models import Model
from sagemaker_bidi.demo.run import Outcome, Stations
from sagemaker_bidi_client import events
from sagemaker_bidi_client.events import Event


class Screen:
    """Shows the demo: live on a terminal, as plain text elsewhere.

    Args:
        console: where.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seconds = 0.0
        self._words = ""
        self._bar = Progress(
            TextColumn("audio"),
            BarColumn(40),
            TextColumn("{task.completed:.1f}/{task.total:.1f} s"),
        )
        self._task = self._bar.add_task("audio", total=None)
        self._live = Live(console=console, refresh_per_second=20) if console.is_terminal else None

    def __enter__(self) -> Self:
        return self

    def ready(self, stations: Stations, model: Model) -> None:
        """Say what listens where, then begin to show words."""
        out = self._console.out
        self._seconds = model.speech.audio.seconds
        self._bar.update(self._task, total=self._seconds)
        out(f"speech    {model.speech.source}")
        out(f"model     {stations.model}/v1/realtime ({model.about})")
        out(f"bridge    {stations.bridge}/invocations-bidirectional-stream")
        out(f"emulator  {stations.emulator}")
        out(f"client    AWS SDK, {self._seconds:.1f} s of speech in real time\n")
        if self._live is not None:
            self._live.start()
            self._refresh()

    def show(self, event: Event) -> None:
        """Show one event of the client's."""
        match event:
            case events.ChunkSent(index=index, total=total):
                self._bar.update(self._task, completed=self._seconds * (index + 1) / total)
                self._refresh()
            case events.Delta(text=text):
                # The model says " The": the space belongs between words.
                text = text if self._words else text.lstrip()
                self._words += text
                if self._live is None:
                    self._console.out(text, end="", highlight=False)
                    self._console.file.flush()
                self._refresh()
            case _:
                pass

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(Group(Text(self._words, style="bold"), self._bar))

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._words:
            self._console.out("")


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Print the timing of the session and of its hops, and whether the words are right."""
    timing = outcome.result.timing
    table = Table(title="timing", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("seconds", justify="right")
    for name, at in (
        ("stream open", timing.stream_open),
        ("first chunk sent", timing.first_chunk_sent),
        ("first delta", timing.first_delta),
        ("first words", timing.first_words),
        ("last chunk sent", timing.last_chunk_sent),
        ("last delta", timing.last_delta),
        ("final transcript", timing.final),
    ):
        table.add_row(name, "never" if at is None else f"{at:.3f}")
    console.print()
    console.print(table)
    hops = Table(title="hops (median)", title_justify="left", box=None, pad_edge=False)
    hops.add_column("")
    for column in ("up ms", "down ms", "round trip ms", "messages"):
        hops.add_column(column, justify="right")
    for hop in outcome.hops:
        hops.add_row(
            hop.name,
            f"{hop.up * 1000:.2f}",
            f"{hop.down * 1000:.2f}",
            f"{hop.round_trip * 1000:.2f}",
            str(hop.messages),
        )
    console.print()
    console.print(hops)
    console.print()
    if outcome.expected is None:
        console.out("Nobody knows the words of this recording. The stand-in knows only the bundled")
        console.out("ones and tells of others what it heard; a real model gives the words.")
    elif outcome.passed:
        console.out("The transcript is the words of the recording.")
    else:
        console.out("The transcript is NOT the words of the recording.")
        console.out(f"  expected: {outcome.expected}")
        console.out(f"  received: {outcome.result.text.strip()}")
