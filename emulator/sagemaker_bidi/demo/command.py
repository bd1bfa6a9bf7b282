"""What `bidi demo` does, in its two forms."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console

from sagemaker_bidi.config import ConfigError
from sagemaker_bidi.demo import scenario as scenario_demo
from sagemaker_bidi.demo.hops import Stopwatch
from sagemaker_bidi.demo.models import load_speech, real_engine, stand_in
from sagemaker_bidi.demo.run import run_demo
from sagemaker_bidi.demo.show import Screen, show_outcome
from sagemaker_bidi.emulator import PortTaken
from sagemaker_bidi.scenarios.scenario import ScenarioError
from sagemaker_bidi.transport.identity import StateUnusable
from sagemaker_bidi_client.audio import AudioError
from sagemaker_bidi_client.errors import StreamError
from sagemaker_bidi_fixtures.engine.environment import EngineUnavailable
from sagemaker_bidi_fixtures.engine.launched import EngineFailed

PROBLEMS = (
    AudioError,
    ConfigError,
    EngineFailed,
    EngineUnavailable,
    PortTaken,
    StateUnusable,
    StreamError,
)


class DemoFailed(Exception):
    """The demo could not run; says why and what to do."""


class NoSpeech(DemoFailed):
    """The file that was named holds no audio that can be read."""


def show_demo(audio: Path | None, *, real: bool, port: int) -> bool:
    """Speech to words, and the timing.

    Args:
        audio: a file of the user's, or None for speech of our own.
        real: run vLLM's engine in place of the stand-in.
        port: the emulator's port; 0 takes a free one.

    Returns:
        Whether the transcript is the words, where they are known.

    Raises:
        DemoFailed: it could not run.
    """
    console = Console(highlight=False)
    stopwatch = Stopwatch()
    try:
        if real:
            speech = load_speech(audio) if audio else None
            console.out("starting vLLM's engine, about 20 s …")
            model = real_engine(speech)
        else:
            model = stand_in(load_speech(audio), stopwatch)
        with Screen(console) as screen:
            outcome = asyncio.run(
                run_demo(model, stopwatch, port=port, on_ready=screen.ready, on_event=screen.show)
            )
    except PROBLEMS as error:
        raise _failed(error) from error
    show_outcome(console, outcome)
    return outcome.passed


def show_scenario(name: str, audio: Path | None, *, port: int) -> bool:
    """The demo's speech while a scenario is in force, both sides on one timeline.

    Args:
        name: of the catalogue, or a file.
        audio: a file of the user's, or None for the bundled recording.
        port: the emulator's port; 0 takes a free one.

    Returns:
        True: whatever was seen is what was asked for.

    Raises:
        DemoFailed: it could not run.
    """
    console = Console(highlight=False)
    try:
        speech = load_speech(audio)
        console.out(f"speech    {speech.source}")
        shown = asyncio.run(scenario_demo.run_scenario(name, speech.audio, speech.words, port=port))
    except (*PROBLEMS, ScenarioError) as error:
        raise _failed(error) from error
    scenario_demo.show_scenario(console, shown)
    return True


def _failed(error: Exception) -> DemoFailed:
    return (NoSpeech if isinstance(error, AudioError) else DemoFailed)(_text(error))


def _text(error: Exception) -> str:
    # An OSError's own text begins with its number.
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
