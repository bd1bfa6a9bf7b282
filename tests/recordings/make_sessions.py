"""Makes the bundled recordings from stand-ins: `python -m tests.recordings.make_sessions`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.recordings.format import Header, Origin
from sagemaker_bidi.recordings.recorder import Recorder
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_client.audio import load
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.errors import StreamError
from sagemaker_bidi_client.realtime import append, commit, session_update
from sagemaker_bidi_client.stream import Stream
from sagemaker_bidi_client.transcription import Delivery, transcribe
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.misbehaving import (
    CloseAfter,
    DieAfter,
    MisbehavingContainer,
    RefuseUpgrade,
)
from sagemaker_bidi_fixtures.speech import recording as speech
from sagemaker_bidi_fixtures.vllm import StandInVLLM
from tests.bridge.peers import settings_for

SESSIONS = Path(__file__).parents[2] / "fixtures" / "sagemaker_bidi_fixtures" / "sessions"
BRIDGED = "bridge and stand-in vLLM"
ECHO = "echo"

# What the recordings of misbehaving containers are of, by their names.
MISBEHAVING: Mapping[str, Callable[[], MisbehavingContainer]] = {
    "close-1000": lambda: MisbehavingContainer(CloseAfter(2), port=0),
    "close-1011": lambda: MisbehavingContainer(CloseAfter(2, 1011, "engine died"), port=0),
    "connection-lost": lambda: MisbehavingContainer(DieAfter(2), port=0),
    "refused": lambda: MisbehavingContainer(RefuseUpgrade(503), port=0),
}

type Talk = Callable[[Stream], Awaitable[None]]


@contextlib.asynccontextmanager
async def bridged() -> AsyncIterator[str]:
    """The bridge before a stand-in for vLLM; gives its address."""
    async with (
        StandInVLLM(port=0) as vllm,
        BridgeServer(settings_for(f"{vllm.url}/v1/realtime")) as bridge,
    ):
        yield bridge.url


async def record(
    name: str,
    address: str,
    talk: Talk,
    *,
    provenance: Origin,
    container: str,
    vllm: str = "",
    hardware: str = "",
) -> None:
    """Record one session with a container under a name."""
    header = Header(
        provenance=provenance,
        target="ws://container:8080",
        container=container,
        endpoint=name,
        vllm=vllm,
        hardware=hardware,
    )
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder), header=header)
        config = Config(port=0, health="off", contract={"accept_seconds": 10.0})
        async with Emulator({name: address}, config=config, taps=[recorder]) as emulator:
            os.environ.update(emulator.trust())
            with contextlib.suppress(StreamError):
                async with open_stream(name, endpoint_url=emulator.url) as stream:
                    await stream.opened()
                    async with asyncio.timeout(30):
                        await talk(stream)
        (path,) = recorder.written
        shutil.copyfile(path, SESSIONS / f"{name}.jsonl")
    print(f"made: {name}.jsonl")


async def until(stream: Stream, kind: str) -> None:
    """Hear messages up to the first of a type."""
    while (message := await stream.receive_message()) is not None:
        if f'"type":"{kind}"'.encode() in message.replace(b": ", b":"):
            return


async def one_utterance(stream: Stream) -> None:
    """Speech as a microphone has it."""
    await transcribe(load(speech("bonjour").path), stream, Delivery())


async def two_utterances(stream: Stream) -> None:
    """Half a second of silence, then, after its final text, one of speech."""
    await until(stream, "session.created")
    await stream.send_text(session_update(""))
    for pcm16 in (bytes(16_000), speech("bonjour").pcm16()):
        await stream.send_text(commit())
        for start in range(0, len(pcm16), 8_000):
            await stream.send_text(append(pcm16[start : start + 8_000]))
        await stream.send_text(commit(final=True))
        await until(stream, "transcription.done")


async def errors(stream: Stream) -> None:
    """What vLLM answers to what it cannot use; the session goes on."""
    await until(stream, "session.created")
    for text in (
        commit(),
        "no JSON",
        '{"type":"nonsense"}',
        '{"type":"session.update","model":"no-such-model"}',
        '{"type":"session.update"}',
        '{"type":"input_audio_buffer.append","audio":"AA=="}',
        '{"type":"input_audio_buffer.append","audio":""}',
    ):
        await stream.send_text(text)
        await until(stream, "error")


async def fragments(stream: Stream) -> None:
    """Text and binary, whole and in fragments, empty, and no UTF-8."""
    for data, data_type, complete in (
        ("café".encode(), "UTF8", True),
        (b"", "UTF8", True),
        (b"\x00\xff", "BINARY", True),
        (b"no type", None, True),
        (b"one ", "UTF8", False),
        (b"two ", None, False),
        (b"three", None, True),
        (b"\xff\xfe", "UTF8", True),
    ):
        await stream.send(data, data_type=data_type, complete=complete)
        await stream.receive()


async def two_parts(stream: Stream) -> None:
    """Two parts, and what comes of them."""
    for text in ("one", "two"):
        await stream.send_text(text)
        await stream.receive()
    await stream.receive()


async def main() -> None:
    """Make all of them."""
    async with bridged() as address:
        for talk in (one_utterance, two_utterances, errors):
            name = talk.__name__.replace("_", "-")
            await record(name, address, talk, provenance="stand-in", container=BRIDGED)
    async with EchoContainer(port=0) as echo:
        await record("fragments", echo.url, fragments, provenance="scripted", container=ECHO)
    for name, make in MISBEHAVING.items():
        async with make() as container:
            await record(
                name, container.url, two_parts, provenance="scripted", container="misbehaving"
            )


if __name__ == "__main__":
    asyncio.run(main())
