"""What costs a server more than its client has a limit, a setting, and a line in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from sagemaker_bidi import ManualClock
from sagemaker_bidi.transport.http2.settings import Http2Settings
from tests.transport.http2.calmed import calmed
from tests.transport.http2.raw_client import RawClient, frame, request
from tests.transport.http2.served import layer
from tests.transport.lean_client import LIMIT_SECONDS

# Ten of each at once, and one more each second.
TEN = Http2Settings(
    resets_per_second=1,
    control_frames_per_second=1,
    empty_frames_per_second=1,
    burst_seconds=10,
)
TAKEN_BY_THE_OPENING = 2  # control frames: the client's SETTINGS, and its answer to the server's


def open_and_reset(client: RawClient, stream_id: int) -> None:
    client.open(stream_id, "/hold")
    client.send(RstStreamFrame(stream_id, ErrorCodes.CANCEL))


def open_and_break(client: RawClient, stream_id: int) -> None:
    # The server has to reset it (CVE-2025-8671).
    client.open(stream_id, "/hold")
    client.send(WindowUpdateFrame(stream_id, 2**31 - 1))


def open_malformed(client: RawClient, stream_id: int) -> None:
    client.send(client.headers_frame(stream_id, [*request(), ("Upper", "case")]))


@pytest.mark.parametrize("misuse", [open_and_reset, open_and_break, open_malformed])
async def test_streams_that_are_reset_young_may_come_in_a_burst_and_not_in_a_flood(
    misuse: Callable[[RawClient, int], None], caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with layer(TEN, clock=clock) as served, RawClient(served.port) as client:
        for number in range(10):
            misuse(client, 2 * number + 1)
        await client.round_trip()
        await clock.advance(2)
        for number in range(10, 12):
            misuse(client, 2 * number + 1)
        await client.round_trip()
        assert not client.lost

        misuse(client, 99)
        await calmed(client, caplog, "resets_per_second")


async def test_a_request_that_brings_its_priority_is_no_control_frame() -> None:
    async with layer(TEN, clock=ManualClock()) as served, RawClient(served.port) as client:
        for stream_id in range(1, 41, 2):
            opening = client.headers_frame(stream_id, request("/end"), end=True)
            opening.flags.add("PRIORITY")
            client.send(opening)
            await client.until(lambda: stream_id in client.ended)  # noqa: B023


async def test_a_stream_that_ended_before_it_was_reset_counts_for_nothing() -> None:
    async with layer(TEN, clock=ManualClock()) as served, RawClient(served.port) as client:
        for stream_id in range(1, 61, 2):
            client.open(stream_id, "/end", end=True)
            await client.until(lambda: stream_id in client.ended)  # noqa: B023
            client.send(RstStreamFrame(stream_id, ErrorCodes.CANCEL))
            await client.until(lambda: len(served.streams) == len(client.ended))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(SettingsFrame(0, {4: 65_535}), id="SETTINGS"),
        pytest.param(SettingsFrame(0, flags=["ACK"]), id="SETTINGS acknowledged"),
        pytest.param(PingFrame(0, b"01234567"), id="PING"),
        pytest.param(PingFrame(0, b"01234567", flags=["ACK"]), id="PING acknowledged"),
        pytest.param(PriorityFrame(1, depends_on=3), id="PRIORITY"),
        pytest.param(GoAwayFrame(0), id="GOAWAY"),
        pytest.param(frame(0xEE, 0, 0), id="unknown"),
    ],
)
async def test_control_frames_may_come_in_a_burst_and_not_in_a_flood(
    kind: Frame | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with layer(TEN, clock=clock) as served, RawClient(served.port) as client:
        client.open(1)
        await client.exchange(1)
        await client.until(lambda: client.settings)
        client.send(*[kind] * (10 - TAKEN_BY_THE_OPENING))
        await client.exchange(1)
        await clock.advance(3)
        client.send(*[kind] * 3)
        await client.exchange(1)
        assert not client.lost

        client.send(kind)
        await calmed(client, caplog, "control_frames_per_second")


@pytest.mark.parametrize(
    "empty",
    [
        pytest.param(frame(0, 0, 1), id="nothing"),
        pytest.param(frame(0, 0x8, 1, b"\x05" + bytes(5)), id="padding"),
    ],
)
async def test_empty_data_may_come_in_a_burst_and_not_in_a_flood(
    empty: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with layer(TEN, clock=ManualClock()) as served, RawClient(served.port) as client:
        client.open(1)
        client.send(*[empty] * 10)
        await client.exchange(1)

        client.send(empty)
        await calmed(client, caplog, "empty_frames_per_second")


async def test_a_flood_costs_its_own_connection_only() -> None:
    clock = ManualClock()
    async with layer(TEN, clock=clock) as served, RawClient(served.port) as other:
        other.open(1)
        await other.exchange(1)
        async with RawClient(served.port) as client:
            client.send(*[PingFrame(0)] * 100)
            await client.until(lambda: client.lost)
        await other.exchange(1)

        assert not other.lost


async def test_a_stream_too_many_is_refused_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with layer(Http2Settings(max_streams=2)) as served, RawClient(served.port) as client:
        for stream_id in (1, 3, 5):
            client.open(stream_id)
        await client.until(lambda: client.over(5))

        assert client.resets == [(5, ErrorCodes.REFUSED_STREAM)]
        assert "#5: refused: 2 streams are open (http2.max_streams)" in caplog.text
        for stream_id in (1, 3):
            await client.exchange(stream_id)
        client.send(DataFrame(3, flags=["END_STREAM"]))
        await client.until(lambda: 3 in client.ended)
        client.open(7)
        await client.exchange(7)


async def test_streams_beyond_the_limit_may_not_come_in_a_flood(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Http2Settings(max_streams=1, resets_per_second=1, burst_seconds=10)
    async with (
        layer(settings, clock=ManualClock()) as served,
        RawClient(served.port) as client,
    ):
        for stream_id in range(1, 23, 2):
            client.open(stream_id, "/hold")
        await client.round_trip()
        assert len(client.resets) == 10

        client.open(23)
        await calmed(client, caplog, "resets_per_second")


async def test_answers_do_not_pile_up_for_a_client_that_does_not_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Http2Settings(send_buffer=0, unread_answers=10_000, idle_frames_per_second=1_000_000)
    async with (
        layer(settings, system_buffer=4_096) as served,
        RawClient(served.port, reads=False) as client,
    ):
        client.send(client.headers_frame(1, request("/hold"), end=True))
        async with asyncio.timeout(3 * LIMIT_SECONDS):
            await served.arrived.wait()
            while served.connections:
                # Each is answered with RST_STREAM (RFC 9113 5.1).
                client.send(*[DataFrame(1, b"x")] * 1_000)
                await client.drained()

        assert "(http2.unread_answers)" in caplog.text
