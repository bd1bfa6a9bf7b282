"""`bidi demo` as a newcomer meets it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sagemaker_bidi_fixtures.speech import recording

type Run = Callable[..., subprocess.CompletedProcess[str]]
type Start = Callable[..., subprocess.Popen[str]]


def test_it_turns_the_bundled_speech_into_its_words(run_bidi: Run) -> None:
    ended = run_bidi("demo")

    assert ended.returncode == 0, ended.stderr
    assert f"\n{recording('quick-brown-fox').words}\n" in ended.stdout
    for row in ("stream open", "first chunk sent", "first delta", "last delta", "final transcript"):
        assert row in ended.stdout
    for hop in ("SDK ⇄ emulator", "emulator ⇄ bridge", "bridge ⇄ model"):
        assert hop in ended.stdout
    assert "━" not in ended.stdout, "the progress bar is for terminals only"


def test_words_arrive_while_audio_is_still_going_out(start_bidi: Start) -> None:
    process = start_bidi("demo")
    assert process.stdout is not None
    heard = ""
    while "quick" not in heard:
        character = process.stdout.read(1)
        assert character, f"it ended: {process.communicate()}"
        heard += character

    # The recording is 5.8 s long; its last word cannot have been said yet.
    assert process.poll() is None
    assert "today" not in heard


def test_on_a_terminal_it_shows_a_progress_bar(environment: dict[str, str], tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "bidi"),
            "demo",
            "--audio",
            str(tone(tmp_path / "tone.wav", seconds=0.5)),
        ],
        stdout=terminal,
        stderr=terminal,
        env={**environment, "TERM": "xterm-256color"},
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(controller, 65536)
        except OSError:  # Linux's way to say that nobody holds the other side any more
            break
        if not piece:
            break
        shown += piece
    os.close(controller)

    assert process.wait(timeout=10) == 0
    assert "━" in shown.decode()


@pytest.mark.parametrize("name", ["weather-stereo", "telephone"])
def test_recordings_at_other_rates_give_their_words(run_bidi: Run, name: str) -> None:
    known = recording(name)

    ended = run_bidi("demo", "--audio", known.path)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert known.words in ended.stdout


def test_unknown_audio_gets_no_made_up_words(run_bidi: Run, tmp_path: Path) -> None:
    ended = run_bidi("demo", "--audio", tone(tmp_path / "tone.ogg", seconds=1.0))

    assert ended.returncode == 0, ended.stderr
    assert "heard" in ended.stdout
    assert "Nobody knows the words of this recording" in ended.stdout


@pytest.mark.parametrize(
    ("content", "says"), [(b"this is text, not sound", "isn't audio"), (b"", "empty")]
)
def test_a_file_without_audio_is_named(
    run_bidi: Run, tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(content)

    ended = run_bidi("demo", "--audio", file)

    assert ended.returncode == 2
    assert str(file) in ended.stderr
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_file_without_audio_is_named_before_the_engine_is_started(
    run_bidi: Run, tmp_path: Path
) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(b"this is text, not sound")

    ended = run_bidi("demo", "--engine", "vllm", "--audio", file)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert f"error: {file}" in ended.stderr


def test_a_scenario_on_the_real_engine_is_refused(run_bidi: Run) -> None:
    ended = run_bidi("demo", "--engine", "vllm", "--scenario", "container-dies")

    assert ended.returncode == 2
    assert ended.stderr == (
        "error: --scenario is shown on the stand-in only; leave --engine vllm out\n"
    )


def test_ctrl_c_ends_it_without_a_traceback(start_bidi: Start) -> None:
    process = start_bidi("demo")
    assert process.stdout is not None
    while "client" not in process.stdout.readline():
        pass

    process.send_signal(signal.SIGINT)

    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors


def tone(path: Path, *, seconds: float) -> Path:
    """A file with a 440 Hz tone in it, 48 kHz stereo."""
    time = np.arange(int(48_000 * seconds)) / 48_000
    wave = 0.2 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(path, np.column_stack([wave, wave]), 48_000)
    return path
