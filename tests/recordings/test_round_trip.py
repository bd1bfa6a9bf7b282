"""Record with one command, replay with another: `bidi serve --record`, the SDK, `bidi replay`."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sagemaker_bidi.recordings.files import Recording, read_recording
from sagemaker_bidi.recordings.format import Control, PartEvent
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.realtime import append, commit, session_update
from sagemaker_bidi_client.stream import Stream
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.speech import recording as speech
from tests.recordings.make_sessions import bridged, until

BIDI = Path(sys.executable).parent / "bidi"
LIMIT_SECONDS = 60.0


def environment(state: Path, exports: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "BIDI_STATE_DIR": str(state), "PYTHONUNBUFFERED": "1", **exports}


async def exports_of(process: asyncio.subprocess.Process) -> dict[str, str]:
    """What `bidi serve` prints for a client's shell, up to the last of it."""
    assert process.stdout is not None
    found: dict[str, str] = {}
    while "AWS_DEFAULT_REGION" not in found and (line := await process.stdout.readline()):
        if line.startswith(b"export "):
            (assignment,) = shlex.split(line.decode().removeprefix("export "))
            name, _, value = assignment.partition("=")
            found[name] = value
    return found


@asynccontextmanager
async def serving(
    folder: Path, endpoint: str, *arguments: str, trust: Mapping[str, str] | None = None
) -> AsyncIterator[dict[str, str]]:
    """`bidi serve` as a user starts it; gives what a client needs to reach it."""
    process = await asyncio.create_subprocess_exec(
        *(str(BIDI), "serve", "--endpoint", endpoint, "--port", "0", *arguments),
        env=environment(folder / "state", trust or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            yield await exports_of(process)
            process.send_signal(signal.SIGINT)
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0


async def replayed(folder: Path, recording: Path, address: str) -> tuple[int, str]:
    """`bidi replay` of a recording, as fast as it goes."""
    process = await asyncio.create_subprocess_exec(
        *(str(BIDI), "replay", str(recording), "--to", address, "--speed", "0"),
        env=environment(folder / "state", {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def greet(stream: Stream) -> None:
    """Text, binary and a fragmented message, each with its echo."""
    for data, data_type, complete in (
        ("café".encode(), "UTF8", True),
        (b"\x00\xff", "BINARY", True),
        (b"one ", "UTF8", False),
        (b"two", "UTF8", True),
    ):
        await stream.send(data, data_type=data_type, complete=complete)
        await stream.receive()


async def dictate(stream: Stream) -> None:
    """A recording of speech to the stand-in, and its words back."""
    await until(stream, "session.created")
    await stream.send_text(session_update(""))
    await stream.send_text(commit())
    pcm16 = speech("bonjour").pcm16()
    for start in range(0, len(pcm16), 8_000):
        await stream.send_text(append(pcm16[start : start + 8_000]))
    await stream.send_text(commit(final=True))
    await until(stream, "transcription.done")


async def only(folder: Path) -> Recording:
    """The one recording in a folder."""
    (path,) = await asyncio.to_thread(lambda: list(folder.iterdir()))
    return read_recording(path)


def client_of(exports: Mapping[str, str], patch: pytest.MonkeyPatch) -> str:
    """Have this process's SDK reach an emulator; gives its address."""
    for name, value in exports.items():
        patch.setenv(name, value)
    return exports["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2"]


async def test_what_serve_records_of_an_sdk_client_replays_without_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "recordings"
    async with EchoContainer(port=0) as echo:
        async with serving(tmp_path, f"echo={echo.url}", "--record", str(into)) as exports:
            url = client_of(exports, monkeypatch)
            async with open_stream("echo", endpoint_url=url) as stream:
                await greet(stream)
        recorded = await only(into)
        status, output = await replayed(tmp_path, recorded.path, echo.url)

    assert recorded.header.sdk.startswith("aws-sdk-python/")
    assert status == 0, output
    assert output == f"ok    {recorded.path.name}: 4 frames sent, 3 messages alike (json)\n"


async def test_what_is_recorded_through_a_second_emulator_replays_without_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "recordings"
    async with bridged() as bridge:
        async with serving(tmp_path, f"back={bridge}") as inner:
            upstream = f"{client_of(inner, monkeypatch)}/back"
            async with serving(
                tmp_path, f"front={upstream}", "--record", str(into), trust=inner
            ) as outer:
                url = client_of(outer, monkeypatch)
                async with open_stream("front", endpoint_url=url) as stream:
                    await dictate(stream)
        recorded = await only(into)
        status, output = await replayed(tmp_path, recorded.path, bridge)

    assert recorded.header.target == upstream
    # No WebSocket of the recording emulator's was there to have control frames.
    assert not any(isinstance(event, Control) for event in recorded.events)
    sent = [event for event in recorded.events if isinstance(event, PartEvent)]
    assert {event.sender for event in sent} == {"client", "container"}
    assert status == 0, output
    assert output.startswith(f"ok    {recorded.path.name}: ")


async def test_a_container_that_has_changed_since_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "recordings"
    async with EchoContainer(port=0) as echo, bridged() as other:
        async with serving(tmp_path, f"echo={echo.url}", "--record", str(into)) as exports:
            url = client_of(exports, monkeypatch)
            async with open_stream("echo", endpoint_url=url) as stream:
                await greet(stream)
        recorded = await only(into)
        status, output = await replayed(tmp_path, recorded.path, other)

    assert status == 1
    assert output.startswith(f"FAIL  {recorded.path.name}: ")
