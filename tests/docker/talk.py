"""The real SDK through an emulator to a container: what the tests here have in common."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.environment import Environment
from sagemaker_bidi_client import Stream, load, open_stream, realtime, transcribe
from sagemaker_bidi_client.audio import Audio
from sagemaker_bidi_client.errors import StreamError
from sagemaker_bidi_client.transcription import Delivery
from sagemaker_bidi_fixtures.speech import recording

ENDPOINT = "voxtral"
FOX = recording("quick-brown-fox")
LIMIT_SECONDS = 90  # a bound for tests that would otherwise hang, never a wait


class Service:
    """An emulator in this process in front of one container: `async with Service(…)`.

    Args:
        url: of the container.
        options: of the emulator's configuration.
    """

    def __init__(self, url: str, **options: Any) -> None:
        # A shared machine is not SageMaker's: more time to accept than O3 gives.
        contract = {"accept_seconds": 10.0, **options.pop("contract", {})}
        config = Config(port=0, health="strict", contract=contract, **options)
        self.emulator = Emulator({ENDPOINT: url}, config=config)

    async def __aenter__(self) -> Service:
        await self.emulator.start()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.emulator.stop()

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Stream]:
        """A stream of the SDK to the endpoint."""
        async with sdk_stream(self.emulator.url, self.emulator.ca) as stream:
            yield stream

    @asynccontextmanager
    async def talk(self) -> AsyncIterator[Talk]:
        """A session in mid-stream: audio is on its way, and the first delta has come."""
        await self.status_becomes("InService")
        async with asyncio.timeout(LIMIT_SECONDS), self.stream() as stream:
            talk = Talk(stream)
            await talk.begin()
            yield talk

    async def transcript(self, sound: Audio | None = None) -> str:
        """The words of a recording, the fox unless given, as the container hears them."""
        await self.status_becomes("InService")
        async with asyncio.timeout(LIMIT_SECONDS), self.stream() as stream:
            return (
                await transcribe(sound or load(FOX.path), stream, Delivery(speed=0))
            ).text.strip()

    async def status_becomes(self, status: str) -> None:
        """Wait until the container's health is this."""
        async with asyncio.timeout(LIMIT_SECONDS):
            # The emulator tells nobody when it changes.
            while set(self.emulator.status(ENDPOINT).values()) != {status}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@asynccontextmanager
async def sdk_stream(url: str, ca: Path) -> AsyncIterator[Stream]:
    """A stream of the SDK to the endpoint of an emulator anywhere."""
    with Environment(_CREDENTIALS):
        async with open_stream(ENDPOINT, endpoint_url=url, region="us-east-1", ca=ca) as stream:
            yield stream


class Talk:
    """A session of vLLM's realtime protocol over a stream.

    Args:
        stream: open, or opening.
        sound: what is said; the fox unless given.
    """

    def __init__(self, stream: Stream, sound: Audio | None = None) -> None:
        self.stream = stream
        self.chunks = list((sound or load(FOX.path)).chunks())

    async def begin(self) -> None:
        """Start an utterance, say its audio and wait for the first delta."""
        await self.stream.send_text(realtime.session_update(""))
        await self.stream.send_text(realtime.commit())
        await self.say()
        await self.hear("transcription.delta")

    async def say(self) -> None:
        """Send the recording's audio once, as fast as it goes."""
        for chunk in self.chunks:
            await self.stream.send_text(realtime.append(chunk))

    async def finish(self) -> str:
        """End the utterance; gives its transcript."""
        await self.stream.send_text(realtime.commit(final=True))
        return str((await self.hear("transcription.done"))["text"]).strip()

    async def hear(self, kind: str) -> dict[str, Any]:
        """Wait for a message of this type; raises what ends the stream before it comes."""
        while (data := await self.stream.receive_message()) is not None:
            message: dict[str, Any] = json.loads(data)
            if message["type"] == kind:
                return message
        raise AssertionError(f"the stream ended before a {kind}")

    async def end(self) -> StreamError | None:
        """Wait for the end of the stream: its error, or None for a clean one."""
        try:
            while await self.stream.receive_message() is not None:
                pass
        except StreamError as error:
            return error
        return None


_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}


def docker(*arguments: str) -> str:
    """Run the docker command; gives its output. An error fails the test with what it said."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def exit_code(container: str, seconds: float = LIMIT_SECONDS) -> int:
    """Wait until a container has ended; gives its exit code.

    Args:
        seconds: how long it may take, where that is what a test shows.
    """
    deadline = time.monotonic() + seconds
    while docker("inspect", "--format", "{{.State.Running}}", container) == "true":
        assert time.monotonic() < deadline, f"the container still runs after {seconds:g} s"
        time.sleep(0.1)
    return int(docker("inspect", "--format", "{{.State.ExitCode}}", container))


def processes(container: str) -> dict[str, int]:
    """The processes in a container by what they run: `supervise`, `bridge`, `vllm`."""
    known = {
        "supervise.py": "supervise",
        "-m sagemaker_bidi_bridge serve": "bridge",
        "sagemaker_bidi_fixtures.vllm": "vllm",
    }
    found: dict[str, int] = {}
    for line in docker("exec", container, "ps", "-eo", "pid,args").splitlines()[1:]:
        pid, command = line.split(None, 1)
        found |= {name: int(pid) for text, name in known.items() if text in command}
    return found
