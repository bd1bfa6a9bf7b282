"""What a voice application runs: a recording's words, through a SageMaker endpoint."""

from sagemaker_bidi_client.audio import Audio, AudioError, load
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.errors import StreamError
from sagemaker_bidi_client.events import Result, Timing
from sagemaker_bidi_client.stream import Stream
from sagemaker_bidi_client.transcribe import Plan, transcribe

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
