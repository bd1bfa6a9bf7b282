"""What happens while a file is transcribed, with its time."""

from __future__ import annotations

from dataclasses import dataclass

from sagemaker_bidi_client.realtime import Usage


@dataclass(frozen=True)
class StreamOpen:
    """The response headers are here. `at` is in seconds of `time.perf_counter`, in each event."""

    at: float
    variant: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class ChunkSent:
    """A chunk of audio was handed to the SDK: number `index`, from 0, of `total`."""

    at: float
    index: int
    total: int


@dataclass(frozen=True)
class FirstDelta:
    """The model has begun to speak; the words follow in a Delta."""

    at: float


@dataclass(frozen=True)
class Delta:
    """The next words, never empty."""

    at: float
    text: str


@dataclass(frozen=True)
class Done:
    """The final transcript."""

    at: float
    text: str


type Event = StreamOpen | ChunkSent | FirstDelta | Delta | Done


@dataclass(frozen=True)
class Timing:
    """When what happened, in seconds from the start of the call; None for what never did.

    A delta without words counts as a delta, not as words.
    """

    stream_open: float | None = None
    first_chunk_sent: float | None = None
    last_chunk_sent: float | None = None
    first_delta: float | None = None
    first_words: float | None = None
    last_delta: float | None = None
    final: float | None = None


@dataclass(frozen=True)
class Result:
    """A transcript, and how it came: `deltas` counts all of them, `empty_deltas` those without
    words."""

    text: str
    timing: Timing
    chunks: int
    deltas: int
    empty_deltas: int
    usage: Usage | None = None
    variant: str | None = None
    request_id: str | None = None
