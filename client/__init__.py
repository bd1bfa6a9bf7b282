"""What a voice application runs: a recording's words, through a SageMaker endpoint."""

from client.audio import Audio, AudioError, load
from client.connect import open_stream
from client.errors import StreamError
from client.events import Result, Timing
from client.stream import Stream
from client.transcribe import Plan, transcribe

__all__ = [
    "Audio",
    "AudioError",
    "Plan",
    "Result",
    "Stream",
    "StreamError",
    "Timing",
    "load",
    "open_stream",
    "transcribe",
]
