"""What each bundled recording is of, to play it to: one place for every claim."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.recordings.files import Recording
from sagemaker_bidi.recordings.format import Header
from sagemaker_bidi.replay.playback import Playback
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.contract_tests.endpoints import ACCEPT_SECONDS, environment
from tests.recordings.made import ended, part, written
from tests.recordings.make_sessions import BRIDGED, ECHO, MISBEHAVING, SESSIONS, bridged
from tests.vllm.make_sessions import BRIDGED as ENGINE

FILES = sorted(SESSIONS.glob("*.jsonl"))


class Unclaimed(LookupError):
    """No test plays this recording."""


@asynccontextmanager
async def recorded_target(recording: Recording) -> AsyncIterator[str]:
    """What was recorded, running; gives its address.

    The real engine's part is taken by its recording, so that the client's side is held against it;
    `test_engine_recordings.py` plays to the engine itself.

    Raises:
        Unclaimed: nobody knows what the recording is of.
    """
    async with AsyncExitStack() as stack:
        match recording.header.container, recording.name:
            case (of, _) if of == BRIDGED:
                yield await stack.enter_async_context(bridged())
            case (of, _) if of == ECHO:
                yield (await stack.enter_async_context(EchoContainer(port=0))).url
            case ("misbehaving", name) if name in MISBEHAVING:
                yield (await stack.enter_async_context(MISBEHAVING[name]())).url
            case (of, _) if of == ENGINE:
                # Again and again: an endpoint's suite opens a stream first, to see whether it can.
                container = Playback([recording], mode="exact", repeat=True)
                yield (await stack.enter_async_context(container)).url
                assert container.played[-1].alike, container.played[-1]
            case (of, name):
                raise Unclaimed(
                    f"{name}.jsonl is a recording of {of!r}, and no test knows how to start one; "
                    "add it to tests/contract_tests/recorded.py"
                )


@asynccontextmanager
async def behind_an_endpoint(address: str) -> AsyncIterator[Emulator]:
    """An emulator whose endpoint `echo` is a container, and the environment to reach it."""
    config = Config(port=0, health="off", contract={"accept_seconds": ACCEPT_SECONDS})
    async with Emulator({"echo": address}, config=config) as emulator:
        with environment(emulator.trust()):
            yield emulator


def stem(path: Path) -> str:
    return path.stem


def echoed(folder: Path, *, name: str = "made", header: Header | None = None) -> Path:
    """A recording that an echo container answers as it is recorded."""
    events = (part("client", "one"), part("container", "one"), ended())
    return written(folder, *events, name=name, header=header or Header(provenance="scripted"))


def wrong(folder: Path, name: str = "wrong") -> Path:
    """A recording that no echo container answers so."""
    events = (part("client", "one"), part("container", "something else"), ended())
    return written(folder, *events, name=name)
