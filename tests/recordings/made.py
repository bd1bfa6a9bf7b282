"""Recordings made of a few words."""

from __future__ import annotations

import json
from pathlib import Path

from sagemaker_bidi.recordings.files import Recording, write_recording
from sagemaker_bidi.recordings.format import (
    Control,
    End,
    ErrorEvent,
    Event,
    Header,
    PartEvent,
    Sender,
)

HEADER = Header(provenance="scripted")


def part(sender: Sender, text: str, *, ms: float = 0.0, last: bool = True) -> PartEvent:
    """A text part."""
    return PartEvent(
        ms=ms, sender=sender, type="UTF8", state="COMPLETE" if last else "PARTIAL", text=text
    )


def delta(text: str) -> str:
    """A message with a piece of a transcript."""
    return json.dumps({"type": "transcription.delta", "delta": text})


def done(text: str, **more: object) -> str:
    """A message with a final transcript."""
    return json.dumps({"type": "transcription.done", "text": text, **more})


def ended(by: Sender = "client") -> End:
    """A clean end."""
    return End(ms=9.0, sender=by, type="clean")


def closed(code: int, reason: str = "") -> Control:
    """The container's Close frame."""
    return Control(ms=8.0, sender="container", type="CLOSE", code=code, text=reason)


def failed(kind: str, code: str, text: str) -> ErrorEvent:
    """What the client was told."""
    return ErrorEvent(ms=8.0, sender="emulator", type=kind, code=code, text=text)


def recording(*events: Event, name: str = "made", header: Header = HEADER) -> Recording:
    """A recording that is on no disk."""
    return Recording(Path(f"{name}.jsonl"), header, events)


def written(folder: Path, *events: Event, name: str = "made", header: Header = HEADER) -> Path:
    """A recording on disk."""
    path = folder / f"{name}.jsonl"
    write_recording(path, header, events)
    return path
