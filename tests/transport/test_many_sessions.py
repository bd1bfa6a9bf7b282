"""Two hundred sessions leave nothing behind: no task, no socket, no memory."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

from h2.stream import H2Stream

from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.session.live import LiveSession
from sagemaker_bidi.transport.container import ContainerSocket
from sagemaker_bidi.transport.http2.stream import Stream
from sagemaker_bidi_fixtures.containers.misbehaving import CloseAfter, MisbehavingContainer
from tests.transport.world import World, names_of_other_tasks, open_sockets, world

HEAVY = (Session, LiveSession, Stream, ContainerSocket, H2Stream)


def alive() -> Counter[str]:
    """How many of a session's heavy objects are held by somebody."""
    gc.collect()
    return Counter(type(held).__name__ for held in gc.get_objects() if isinstance(held, HEAVY))


async def one_session(w: World, number: int) -> None:
    stream = await w.client.open()
    await w.exchange(stream)
    match number % 4:
        case 0:
            await stream.close_input()
            assert await stream.receive() is None
        case 1:
            stream.cancel()
        case 2:
            await stream.write(b"garbage instead of an event")
            await stream.finished()
            stream.end()  # until then its input is waited for (E8)
        case _:
            # Half a chunk, never finished: the emulator has buffered it.
            await stream.write((await stream.signed(None))[:10], end=True)
            await stream.finished()
    w.client.streams.clear()


async def test_sessions_one_after_another_leave_nothing_behind() -> None:
    async with world() as w:
        await one_session(w, 0)
        await w.watch.session_ended(1)
        await w.client.ping()
        before = names_of_other_tasks(), open_sockets()
        for number in range(200):
            await one_session(w, number)
            await w.watch.session_ended(number + 2)
        await w.client.ping()
        await asyncio.sleep(0)

        assert sorted(names_of_other_tasks()) == sorted(before[0])
        assert len(open_sockets()) == len(before[1])
        assert len(w.emulator.sessions) == 201
        assert all(record.ending is not None for record in w.emulator.sessions)
        # h2 itself keeps a few streams until it next looks through them.
        assert {name: count for name, count in alive().items() if count > 5} == {}


async def test_a_hundred_sessions_at_once_leave_nothing_behind() -> None:
    async with world(MisbehavingContainer(CloseAfter(2, 1011, "enough"))) as w:
        await one_session(w, 0)
        await w.watch.session_ended(1)
        await w.client.ping()
        before = len(names_of_other_tasks()), len(open_sockets())
        streams = [await w.client.open() for _ in range(100)]
        await asyncio.gather(*(w.exchange(stream, b"first") for stream in streams))
        assert sum(record.open for record in w.emulator.sessions) == 100
        await asyncio.gather(*(w.exchange(stream, b"second") for stream in streams))
        await asyncio.gather(*(stream.finished() for stream in streams))
        for stream in streams:
            stream.end()  # until then its input is waited for (E8)
        await w.watch.session_ended(101)
        await w.client.ping()

        assert len(names_of_other_tasks()) == before[0]
        assert len(open_sockets()) == before[1]
