"""Many small frames cost their sender the connection, and nobody else a turn."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, Frame, RstStreamFrame, WindowUpdateFrame

from sagemaker_bidi import ManualClock
from sagemaker_bidi.transport.http2.connection import TURN
from sagemaker_bidi.transport.http2.settings import Http2Settings
from sagemaker_bidi.transport.http2.state import ServerState
from tests.transport.http2.calmed import calmed
from tests.transport.http2.raw_client import RawClient, frame, request
from tests.transport.http2.served import layer

# Ten of each at once, and one more each second.
TEN = Http2Settings(
    requests_per_second=1, small_frames_per_second=1, idle_frames_per_second=1, burst_seconds=10
)
ECHOED = 4 + 4  # idle frames that one request and one DATA frame of the response allow
OVER, OPEN = 1, 3


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(WindowUpdateFrame(0, 1), id="WINDOW_UPDATE for all"),
        pytest.param(WindowUpdateFrame(OPEN, 1), id="WINDOW_UPDATE for an open stream"),
        pytest.param(WindowUpdateFrame(OVER, 1), id="WINDOW_UPDATE for one that is over"),
        pytest.param(RstStreamFrame(OVER, ErrorCodes.CANCEL), id="RST_STREAM for one that is over"),
        pytest.param(DataFrame(OVER, b"late"), id="DATA for one that is over"),
        pytest.param(frame(0xA, 0, 0, b"\xff\xff"), id="ALTSVC that holds nothing"),
    ],
)
async def test_frames_that_are_of_no_use_may_come_in_a_burst_and_not_in_a_flood(
    kind: Frame | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with layer(TEN, clock=clock) as served, RawClient(served.port) as client:
        client.open(OVER, "/end", end=True)
        await client.until(lambda: OVER in client.ended)
        await client.round_trip()
        client.open(OPEN)
        await client.exchange(OPEN)
        client.send(*[kind] * (ECHOED + 4 + 10))
        await client.round_trip()
        await clock.advance(3)
        client.send(*[kind] * 3)
        await client.round_trip()
        assert not client.lost

        client.send(kind)
        await calmed(client, caplog, "idle_frames_per_second")


async def test_tiny_data_may_come_in_a_burst_and_not_in_a_flood(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with layer(TEN, clock=ManualClock()) as served, RawClient(served.port) as client:
        client.open(1)
        client.send(*[DataFrame(1, b"x")] * 10)
        await client.round_trip()
        assert not client.lost

        client.send(DataFrame(1, b"x"))
        await calmed(client, caplog, "small_frames_per_second")


async def test_tiny_data_at_the_end_of_long_messages_is_no_flood() -> None:
    async with layer(TEN, clock=ManualClock()) as served, RawClient(served.port) as client:
        client.send(WindowUpdateFrame(0, 2**30))
        client.open(1)
        client.send(WindowUpdateFrame(1, 2**30))
        for _ in range(100):
            client.send(DataFrame(1, bytes(1_000)), DataFrame(1, b"x"))
        await client.until(lambda: client.body[1] == 100 * 1_001)


async def test_requests_may_come_in_a_burst_and_not_in_a_flood(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with layer(TEN, clock=ManualClock()) as served, RawClient(served.port) as client:
        for stream_id in range(1, 21, 2):
            client.open(stream_id, "/end", end=True)
            await client.until(lambda: stream_id in client.ended)  # noqa: B023

        client.open(21, "/end", end=True)
        await calmed(client, caplog, "requests_per_second")


async def test_a_flood_takes_turns_with_everybody_else() -> None:
    async with layer() as served, RawClient(served.port) as client:
        seen = [0]

        async def others() -> None:
            while seen[-1] < 600:
                await asyncio.sleep(0)
                seen.append(len(served.streams))

        client.send(*[_request(client, stream_id) for stream_id in range(1, 1_201, 2)])
        async with asyncio.timeout(10):
            await others()

    steps = [after - before for before, after in pairwise(seen)]
    assert max(steps) <= TURN // 16


async def test_what_a_request_costs_does_not_grow_with_the_streams_there_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = 0
    count = ServerState._open_streams

    def counted(state: ServerState, remainder: int) -> int:
        nonlocal looked_at
        looked_at += len(state.streams)
        return count(state, remainder)

    monkeypatch.setattr(ServerState, "_open_streams", counted)
    many = Http2Settings(requests_per_second=100_000)
    async with layer(many) as served, RawClient(served.port) as client:
        for first in range(1, 6_000, 200):
            client.send(
                *[_request(client, stream_id, "/end") for stream_id in range(first, first + 200, 2)]
            )
            await client.until(lambda: len(client.ended) == (first + 199) // 2)  # noqa: B023

    assert len(served.streams) == 3_000
    assert looked_at < 4 * 3_000


def _request(client: RawClient, stream_id: int, path: str = "/hold") -> Frame:
    return client.headers_frame(stream_id, request(path), end=True)


@pytest.mark.parametrize("credits_for_each", [0, 1, 2])
async def test_a_thousand_voices_on_one_connection_are_no_flood(credits_for_each: int) -> None:
    # No time passes, so that nothing is forgiven: what bursts allow has to do for all of it.
    sessions, frames = range(1, 2_001, 2), 20

    async with layer(clock=ManualClock()) as served, RawClient(served.port) as client:
        client.send(WindowUpdateFrame(0, 2**30))
        for stream_id in sessions:
            client.open(stream_id)
        await client.until(lambda: len(client.headers) == len(sessions))
        for _ in range(frames):
            before = client.body.total()
            for stream_id in sessions:
                client.send(DataFrame(stream_id, bytes(320)))
            await client.until(lambda: client.body.total() == before + 320 * len(sessions))  # noqa: B023
            for stream_id in sessions:
                # awscrt sends one for the stream and one for the connection.
                for where in (stream_id, 0)[:credits_for_each]:
                    client.send(WindowUpdateFrame(where, 320))
        await client.round_trip()
        assert not client.lost
