"""The models that a demo may run: the stand-in, or vLLM's real engine on the CPU."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sagemaker_bidi.demo.hops import Stopwatch, model_observer
from sagemaker_bidi_client.audio import Audio, load
from sagemaker_bidi_fixtures.engine.demo import demo_model
from sagemaker_bidi_fixtures.speech import recordings
from sagemaker_bidi_fixtures.vllm.server import StandInVLLM

RECORDING = "quick-brown-fox"
RATE = 16_000


@dataclass(frozen=True, slots=True)
class Speech:
    """What is streamed.

    Args:
        source: where it comes from, for people.
        audio: the sound.
        words: what the model should say; None where nobody knows.
    """

    source: str
    audio: Audio
    words: str | None


@dataclass(frozen=True, slots=True)
class Model:
    """A model that listens.

    Args:
        url: `ws://HOST:PORT`, without a path.
        about: what it is, for people.
        speech: what is streamed to it.
    """

    url: str
    about: str
    speech: Speech


def load_speech(path: Path | None) -> Speech:
    """The speech to stream, and its words where they are known.

    Args:
        path: a file of the user's, or None for the bundled recording.

    Raises:
        AudioError: the file holds no audio.
    """
    if path is None:
        path = next(each.path for each in recordings() if each.name == RECORDING)
    known = {each.path.resolve(): each.words for each in recordings()}
    return Speech(str(path), load(path), known.get(path.resolve()))


@asynccontextmanager
async def stand_in(speech: Speech, stopwatch: Stopwatch) -> AsyncIterator[Model]:
    """The stand-in: knows the bundled recordings, and tells of other audio what it heard."""
    async with StandInVLLM(port=0, observer=functools.partial(model_observer, stopwatch)) as server:
        yield Model(server.url, "stand-in", speech)


@asynccontextmanager
async def real_engine(speech: Speech | None) -> AsyncIterator[Model]:
    """vLLM's engine with a toy model that says one sentence, whatever loud audio it hears.

    Args:
        speech: a recording of the user's; None for noise of the right length.

    Raises:
        EngineUnavailable: the engine is not installed; says what to do.
        EngineFailed: it did not start.
    """
    async with demo_model() as engine:
        if speech is None:
            audio = Audio(engine.pcm16, len(engine.pcm16) / 2 / RATE, RATE, 1, "made for it")
            speech = Speech("noise, loud enough for the whole sentence", audio, engine.sentence)
        yield Model(engine.url, engine.about, speech)
