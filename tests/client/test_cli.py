"""`bidi transcribe`: the transcript on standard output, all else on standard error."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
import soxr
import typer
from typer.testing import CliRunner

from sagemaker_bidi import Emulator
from sagemaker_bidi.testing.stand_in import StandIn
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_client.audio import Audio, AudioError, load
from sagemaker_bidi_client.cli import _Words, register, summary
from sagemaker_bidi_client.events import Result, Timing
from sagemaker_bidi_fixtures.containers.misbehaving import MisbehavingContainer, RefuseUpgrade
from sagemaker_bidi_fixtures.speech import recording
from sagemaker_bidi_fixtures.vllm.server import StandInVLLM
from tests.bridge.peers import settings_for

SPEECH = recording("quick-brown-fox")


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)
    register(app)
    return app


@pytest.fixture
def silence(tmp_path: Path) -> str:
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(3200))
    return str(path)


@pytest.fixture(autouse=True)
def aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--endpoint-name", "no_such", "--endpoint-url", "https://localhost:1"], 2, "no_such"),
        (["--endpoint-name", "x", "--endpoint-url", "http://localhost:1"], 2, "HTTP/1.1"),
        (["--endpoint-name", "x", "--endpoint-url", "https://localhost:1"], 1, "nothing listens"),
        (["--endpoint-name", "x", "--speed", "-1"], 2, "--speed"),
        ([], 2, "--endpoint-name"),
    ],
)
def test_what_cannot_work_is_told_on_standard_error(
    app: typer.Typer, silence: str, arguments: list[str], status: int, says: str
) -> None:
    outcome = CliRunner().invoke(app, [silence, *arguments], env={"COLUMNS": "200"})
    assert outcome.exit_code == status
    assert says in outcome.stderr
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr


def test_a_file_that_is_no_audio_is_told(app: typer.Typer, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, [str(tmp_path / "no.wav"), "--endpoint-name", "x"])
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("error: no file ")
    assert outcome.stdout == ""


def printed(*steps: tuple[str, str]) -> str:
    out: list[str] = []
    words = _Words(out.append, lambda: None)
    for step, text in steps:
        words.add(text) if step == "add" else words.complete(text)
    words.end()
    return "".join(out)


def test_words_are_printed_once_and_end_in_a_newline() -> None:
    assert printed(("add", " a"), ("add", " fox"), ("complete", " a fox")) == " a fox\n"


def test_a_final_transcript_with_more_words_is_completed() -> None:
    assert printed(("add", " a"), ("complete", " a fox")) == " a fox\n"
    assert printed(("complete", " a fox")) == " a fox\n"


def test_a_final_transcript_that_differs_gets_its_own_line() -> None:
    assert printed(("add", " a fax"), ("complete", " a fox")) == " a fax\n a fox\n"


def test_nothing_said_prints_nothing() -> None:
    assert printed(("complete", "")) == ""


def test_the_timing_is_told_in_the_order_in_which_it_happened() -> None:
    timing = Timing(0.2, 0.1, 0.4, 0.25, 0.3, 0.5, 0.6)
    audio = Audio(b"", 5.0, 16_000, 1, "")
    lines = summary(audio, Result("x", timing, chunks=3, deltas=4, empty_deltas=1)).splitlines()
    assert [line.split("  ")[0] for line in lines[:-1]] == [
        "first chunk sent",
        "stream open",
        "first words",
        "last chunk sent",
        "final transcript",
        "after the audio",
    ]
    assert lines[-2].endswith("0.200 s")
    assert lines[-1] == "5.00 s of audio, 3 chunks, 4 deltas"


@dataclass
class Outcome:
    status: int
    out: str
    err: str


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with StandInVLLM(port=0) as vllm:
        settings = settings_for(f"{vllm.url}/v1/realtime")
        async with (
            BridgeServer(settings) as bridge,
            MisbehavingContainer(RefuseUpgrade()) as full,
            Emulator({"voxtral": bridge.url, "full": full.url}) as emulator,
        ):
            yield emulator


async def start(emulator: Emulator, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-m", "sagemaker_bidi_client", str(SPEECH.path), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **emulator.trust()},
    )


async def finish(process: asyncio.subprocess.Process) -> Outcome:
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return Outcome(process.returncode or 0, out.decode(), err.decode())


async def test_the_words_of_a_recording_come_out_of_an_endpoint(emulator: Emulator) -> None:
    outcome = await finish(await start(emulator, "--endpoint-name", "voxtral", "--speed", "8"))
    assert outcome.status == 0
    assert outcome.out.strip() == SPEECH.words
    assert "final transcript" in outcome.err
    assert "Exception" not in outcome.err


async def test_a_container_that_refuses_is_told_as_424(emulator: Emulator) -> None:
    outcome = await finish(await start(emulator, "--endpoint-name", "full"))
    assert outcome.status == 1
    assert outcome.out == ""
    assert "HTTP 424 ModelError (INTERNAL_FAILURE_FROM_MODEL)" in outcome.err
    assert "Traceback" not in outcome.err


async def test_ctrl_c_ends_it_at_once_and_in_order(emulator: Emulator) -> None:
    process = await start(emulator, "--endpoint-name", "voxtral")
    assert process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readexactly(4), 30)
    process.send_signal(signal.SIGINT)
    outcome = await asyncio.wait_for(finish(process), 20)
    assert outcome.status == 130
    assert SPEECH.words.startswith(first.decode().strip())
    assert outcome.err.strip() == "interrupted"


def test_what_is_piped_in_without_a_header_is_transcribed(stand_in: StandIn) -> None:
    telephone = soxr.resample(
        soundfile.read(SPEECH.path, dtype="int16")[0], SPEECH.sample_rate, 8_000
    )
    pipe = io.BytesIO()
    soundfile.write(pipe, telephone, 8_000, format="RAW", subtype="ULAW", endian="LITTLE")
    with Emulator({"voxtral": stand_in.url}) as emulator:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "sagemaker_bidi_client", "-"),
                *("--raw", "8000:ulaw", "--endpoint-name", "voxtral", "--speed", "0"),
            ],
            input=pipe.getvalue(),
            env=emulator.environment().over(os.environ),
            capture_output=True,
            timeout=60,
        )

    assert done.returncode == 0, done.stderr.decode()
    assert "5.81 s of audio" in done.stderr.decode()


def test_a_terminal_is_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(AudioError, match="standard input is a terminal"):
        load("-")


def test_samples_that_are_described_wrongly_are_a_usage_error(
    app: typer.Typer, silence: str
) -> None:
    outcome = CliRunner().invoke(app, [silence, "--endpoint-name", "x", "--raw", "8000:mp3"])
    assert outcome.exit_code == 2
    assert "pcm16, ulaw, alaw" in outcome.stderr
