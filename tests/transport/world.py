"""An emulator between a lean client and a container, with the session's end to wait for."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sagemaker_bidi import Clock, Config, Emulator, ManualClock, SessionRecord
from sagemaker_bidi.contract.outputs import Ending
from sagemaker_bidi.tap import Passage, Tap, TappedSession
from sagemaker_bidi_fixtures.containers.connection import FrameSocket, SeenFrame
from sagemaker_bidi_fixtures.containers.echo import echo
from sagemaker_bidi_fixtures.containers.server import FrameServer
from tests.transport.lean_client import LIMIT_SECONDS, LeanClient, LeanStream


@dataclass
class Watch(Tap):
    """A tap that keeps what passed and lets a test wait for a session's end."""

    passages: list[Passage] = field(default_factory=list)
    endings: list[Ending | None] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def opened(self, session: TappedSession) -> None:
        self.changed.set()

    def passed(self, session_id: str, passage: Passage) -> None:
        self.passages.append(passage)
        self.changed.set()

    def ended(self, session_id: str, ending: Ending | None, at: float) -> None:
        self.endings.append(ending)
        self.changed.set()

    def abandoned(self, session_id: str, why: str, at: float) -> None:
        self.gone.append(why)
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something that passed makes `condition` true."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def session_ended(self, count: int = 1) -> Ending:
        """Wait for the end of `count` sessions; gives the last one's."""
        await self.until(lambda: len(self.endings) >= count)
        ending = self.endings[count - 1]
        assert ending is not None
        return ending


@dataclass
class World:
    """What a test has at hand."""

    emulator: Emulator
    client: LeanClient
    container: FrameServer
    watch: Watch

    async def drive_to_the_end(self, clock: ManualClock, count: int = 1) -> Ending:
        """Let the emulator's patience with a silent container run out."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(self.watch.endings) < count:
                await asyncio.sleep(0)
                await clock.advance(1.0)
        return await self.watch.session_ended(count)

    async def exchange(self, stream: LeanStream, payload: bytes = b"hello") -> None:
        """Have the container echo a part: it has seen all before, and the emulator its answers."""
        await stream.send(payload, "UTF8")
        back = await stream.receive()
        assert back is not None
        assert back.message.payload == payload

    async def container_saw(self, count: int) -> tuple[SeenFrame, ...]:
        """Wait until the container has received `count` frames."""
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self.container.wait_for_frames(count)

    @property
    def record(self) -> SessionRecord:
        return self.emulator.sessions[-1]


async def stalls(connection: FrameSocket) -> None:
    """A container that accepts and never reads."""
    await asyncio.Event().wait()


@asynccontextmanager
async def world(
    container: FrameServer | Callable[[FrameSocket], Awaitable[None]] = echo,
    *,
    clock: Clock | None = None,
    taps: Sequence[Tap] = (),
    contract: Mapping[str, Any] | None = None,
    **config: Any,
) -> AsyncIterator[World]:
    """Run all three; endpoint `echo` is the container.

    Args:
        container: a server, or what it does with each connection.
        contract: the `[contract]` table; the test's own containers have more time to accept than
            O3 gives, because a test machine may be busy.
        config: other fields of `Config`; containers are not asked for their health unless given.
    """
    watch = Watch()
    async with AsyncExitStack() as stack:
        if not isinstance(container, FrameServer):
            container = FrameServer(container, port=0)
        await stack.enter_async_context(container)
        emulator = await stack.enter_async_context(
            Emulator(
                {"echo": container.url},
                config=Config(
                    port=0,
                    contract={"accept_seconds": 10.0, **(contract or {})},
                    **{"health": "off", **config},
                ),
                clock=clock,
                taps=[*taps, watch],
            )
        )
        client = await stack.enter_async_context(LeanClient(emulator.url, emulator.ca))
        yield World(emulator, client, container, watch)


def open_sockets() -> set[str]:
    """The sockets that this process holds."""
    found = set()
    for descriptor in os.listdir("/dev/fd"):
        try:
            status = os.fstat(int(descriptor))
        except OSError:
            continue
        if stat.S_ISSOCK(status.st_mode):
            found.add(f"socket {status.st_ino or descriptor}")
    return found


def names_of_other_tasks() -> list[str]:
    """The tasks that run beside the current one."""
    return [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}]


async def check_nothing_left(sockets: set[str]) -> None:
    """Check that no other task runs, and that no socket is open but `sockets`."""
    # A transport closes its socket in one of the loop's next rounds; a leak stays.
    for _ in range(500):
        if not names_of_other_tasks() and not open_sockets() - sockets:
            break
        await asyncio.sleep(0.01)
    assert names_of_other_tasks() == []
    assert open_sockets() - sockets == set()
