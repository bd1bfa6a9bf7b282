"""Header blocks that are too long, too many or too slow: a limit, a setting, a line in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hyperframe.frame import ContinuationFrame, HeadersFrame

from sagemaker_bidi import ManualClock
from sagemaker_bidi.transport.http2.settings import Http2Settings
from tests.transport.http2.calmed import calmed, drive_until_lost
from tests.transport.http2.raw_client import RawClient, request
from tests.transport.http2.served import layer
from tests.transport.lean_client import LIMIT_SECONDS


@pytest.mark.parametrize("size", [0, 20], ids=["empty", "small"])
async def test_a_header_block_may_not_come_in_any_number_of_frames(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Http2Settings(max_continuations=30)
    async with layer(settings) as served, RawClient(served.port) as client:
        client.send(HeadersFrame(1, client.block(request())))
        client.send(*[ContinuationFrame(1)] * 29)
        client.send(ContinuationFrame(1, flags=["END_HEADERS"]))
        await client.exchange(1)

        client.send(HeadersFrame(3, client.block(request())))
        client.send(*[ContinuationFrame(3, bytes(size))] * 31)
        await calmed(client, caplog, "max_continuations")


async def test_a_header_block_may_not_grow_without_end(caplog: pytest.LogCaptureFixture) -> None:
    settings = Http2Settings(max_header_list=50_000)
    async with layer(settings) as served, RawClient(served.port) as client:
        client.send(HeadersFrame(1, client.block(request())))
        client.send(ContinuationFrame(1, bytes(60_000)))
        await calmed(client, caplog, "max_header_list")
        assert served.streams == []


async def test_headers_that_are_too_large_are_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    settings = Http2Settings(max_header_list=1_000)
    async with layer(settings) as served, RawClient(served.port) as client:
        client.send(client.headers_frame(1, [*request(), ("x-large", "a" * 500)], end=True))
        await client.answered(1)

        # It is Huffman-coded to less than 1,000 bytes.
        client.send(client.headers_frame(3, [*request(), ("x-large", "a" * 1_200)], end=True))
        await calmed(client, caplog, "max_header_list")
        assert len(served.streams) == 1


async def test_a_few_bytes_that_unfold_to_large_headers_are_not_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with layer() as served, RawClient(served.port) as client:
        client.send(client.headers_frame(1, [*request(), ("x-bomb", "a" * 3_000)], end=True))
        await client.answered(1)
        # Entry 62 is the newest of the table (RFC 7541 2.3.3).
        bomb = client.block(request()) + b"\xbe" * 30

        client.send(HeadersFrame(3, bomb, flags=["END_HEADERS"]))
        await calmed(client, caplog, "max_header_list")


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(lambda c: HeadersFrame(3, c.block(request())).serialize(), id="no end"),
        pytest.param(lambda c: HeadersFrame(3, c.block(request())).serialize()[:-1], id="cut off"),
        pytest.param(lambda c: HeadersFrame(3, b"").serialize()[:4], id="four bytes"),
    ],
)
async def test_a_header_block_that_is_begun_has_to_come_in_time(
    part: Callable[[RawClient], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with layer(clock=clock) as served, RawClient(served.port) as client:
        client.open(1)
        await client.exchange(1)
        client.send(part(client))

        assert await drive_until_lost(client, clock) >= 10
        await calmed(client, caplog, "headers_seconds")


async def test_a_header_block_that_comes_drop_by_drop_has_no_more_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    async with layer(clock=clock) as served, RawClient(served.port) as client:
        client.open(1)
        await client.exchange(1)
        client.send(HeadersFrame(3, client.block(request())))
        async with asyncio.timeout(LIMIT_SECONDS):
            for _ in range(60):
                client.send(ContinuationFrame(3))
                await client.drained()
                for _ in range(20):
                    await asyncio.sleep(0)
                await clock.advance(0.5)
                if client.lost:
                    break
        await client.until(lambda: client.lost)

        await calmed(client, caplog, "headers_seconds")


@pytest.mark.parametrize("stream_id", [1, 3], ids=["trailers", "another request"])
async def test_a_header_block_that_came_in_time_leaves_no_deadline(stream_id: int) -> None:
    clock = ManualClock()
    async with layer(clock=clock) as served, RawClient(served.port) as client:
        client.open(1)
        client.open(5, "/hold")
        await client.answered(5)
        fields = [("a", "b")] if stream_id == 1 else request()
        number = {1: 1, 3: 7}[stream_id]
        client.send(HeadersFrame(number, client.block(fields), flags=["END_STREAM"]))
        await client.drained()
        await clock.advance(5)
        client.send(ContinuationFrame(number, flags=["END_HEADERS"]))
        await client.until(lambda: number in client.ended)

        await clock.advance(1_000)
        await client.round_trip()
        assert client.goaway is None


async def test_a_first_request_has_to_come_in_time_whatever_else_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    async with layer(clock=clock) as served, RawClient(served.port) as client:
        for _ in range(9):
            await client.round_trip()
            await clock.advance(1)

        assert await drive_until_lost(client, clock) <= 2
        await calmed(client, caplog, "headers_seconds")
        assert served.streams == []
