"""What a voice application runs: a recording's words, through a SageMaker endpoint."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagemaker_bidi_client.audio import Audio, AudioError, load
    from sagemaker_bidi_client.connect import open_stream
    from sagemaker_bidi_client.errors import StreamError
    from sagemaker_bidi_client.events import Result, Timing
    from sagemaker_bidi_client.stream import Stream
    from sagemaker_bidi_client.transcription import Delivery, transcribe

__all__ = [
    "Audio",
    "AudioError",
    "Delivery",
    "Result",
    "Stream",
    "StreamError",
    "Timing",
    "load",
    "open_stream",
    "transcribe",
]

# Imported when they are first asked for (PEP 562): a stream needs no audio libraries.
_HOMES = {
    "audio": ("Audio", "AudioError", "load"),
    "connect": ("open_stream",),
    "errors": ("StreamError",),
    "events": ("Result", "Timing"),
    "stream": ("Stream",),
    "transcription": ("Delivery", "transcribe"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
