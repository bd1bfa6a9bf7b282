"""What a client still sends after its response is complete is taken and thrown away (E8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sagemaker_bidi import ManualClock
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from tests.transport.lean_client import LIMIT_SECONDS, LeanStream
from tests.transport.world import World, stalls, world

pytestmark = pytest.mark.clause("E8")

PART = bytes(3_200)
NO_ERROR = 0


async def ends(connection: FrameSocket) -> None:
    """A container that ends the session at its first frame."""
    await connection.receive()
    await connection.close(1000)


async def over(w: World) -> LeanStream:
    """A session that its container has ended, and whose client has not closed its input."""
    stream = await w.client.open()
    await stream.send(b"end")
    assert await stream.receive() is None
    return stream


async def refused(w: World) -> LeanStream:
    """A call that was refused, and whose client has not closed its input."""
    stream = await w.client.open("nobody")
    await stream.finished()
    assert stream.status == 400
    return stream


async def send_on(w: World, stream: LeanStream, size: int) -> None:
    """Send DATA as the windows allow, which for a client means: they must open again."""
    h2 = w.client.h2
    while size > 0:
        await w.client.until(lambda: h2.local_flow_control_window(stream.id) > 0)
        piece = min(h2.local_flow_control_window(stream.id), h2.max_outbound_frame_size, size)
        h2.send_data(stream.id, bytes(piece))
        w.client.flush()
        size -= piece


async def waited_for(
    w: World, clock: ManualClock, stream: LeanStream, *, sends: bool = False
) -> float:
    """Let time pass, a second a turn of the wire; gives how long the reset took to come."""
    began = clock.now()
    async with asyncio.timeout(LIMIT_SECONDS):
        while stream.reset is None:
            await w.client.ping()
            await clock.advance(1.0)
            if sends and stream.reset is None:
                await send_on(w, stream, 100)
            await w.client.ping()
    return clock.now() - began


async def nothing_is_left() -> None:
    """Wait until the stream's task has ended."""
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith("stream ")]
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*left)


@pytest.mark.parametrize("ended", [over, refused])
async def test_a_client_may_send_more_than_its_window_after_the_end(
    ended: Callable[[World], Awaitable[LeanStream]],
) -> None:
    async with world(ends) as w:
        stream = await ended(w)
        await send_on(w, stream, 3 * 1024 * 1024)
        await w.client.ping()
        assert stream.reset is None

        stream.end()
        await nothing_is_left()
        await w.client.ping()
        assert stream.reset is None


async def test_what_was_sent_before_the_end_and_read_by_nobody_is_credited() -> None:
    async with world(stalls, contract={"events_per_second": 1.0}) as w:
        stream = await w.client.open()
        before = stream.window
        # The second of them ends the session; the others arrive with it and after it.
        for _ in range(200):
            await stream.send(PART)
        await stream.finished()
        await send_on(w, stream, 2 * before)
        assert stream.reset is None


async def test_the_client_may_reset_instead() -> None:
    async with world(ends) as w:
        stream = await over(w)
        stream.cancel()
        await nothing_is_left()


async def test_a_reset_is_a_setting() -> None:
    async with world(ends, contract={"reset_open_input": True}) as w:
        for stream in (await over(w), await refused(w)):
            await w.client.until(lambda stream=stream: stream.reset is not None)
            assert stream.ended
            assert stream.reset == NO_ERROR  # RFC 9113 8.1


async def test_an_idle_client_is_waited_for_as_long_as_a_session_may_be_idle() -> None:
    clock = ManualClock()
    async with world(ends, clock=clock, contract={"idle_seconds": 20.0}) as w:
        stream = await over(w)
        for _ in range(3):
            await w.client.ping()
            await clock.advance(15.0)
            await send_on(w, stream, 100)
        await w.client.ping()
        assert stream.reset is None

        assert await waited_for(w, clock, stream) <= 41.0
        assert stream.reset == NO_ERROR


async def test_nobody_is_waited_for_longer_than_a_session_may_live() -> None:
    clock = ManualClock()
    async with world(ends, clock=clock, contract={"lifetime": 60.0}) as w:
        stream = await over(w)
        await w.watch.session_ended()
        assert 60.0 <= await waited_for(w, clock, stream, sends=True) <= 62.0
        assert stream.reset == NO_ERROR
        await nothing_is_left()


async def test_a_stop_waits_for_nobodys_input() -> None:
    async with world(ends) as w:
        stream = await over(w)
        async with asyncio.timeout(LIMIT_SECONDS):
            await w.emulator.stop(grace=10 * LIMIT_SECONDS)
        assert stream.ended
