"""What a container meters on its metadata stream is counted, whatever it sends (M2)."""

from __future__ import annotations

import asyncio
import logging

import pytest
from websockets.frames import Opcode

from sagemaker_bidi import ManualClock, ScaledClock
from tests.transport.metered import (
    REQUIRED,
    SUPPORTED,
    MeteredContainer,
    echoed,
    opened,
    send_close,
    told,
    usage,
)
from tests.transport.world import world


@pytest.mark.clause("M2")
async def test_usage_is_counted_by_dimension_and_never_reaches_the_client() -> None:
    clock = ManualClock()
    container = MeteredContainer(SUPPORTED)
    async with world(container, clock=clock) as w:
        stream = await opened(w)
        for token, units, dimension in (("a", 2, "minutes"), ("b", 0.5, "minutes"), ("c", 7, "w")):
            await container.report(usage(units, token, dimension))
            await clock.advance(1)

        assert w.emulator.sessions[0].metering == {"minutes": 2.5, "w": 7}
        assert w.record.frames_received == 0
        assert await echoed(stream)


@pytest.mark.clause("M2")
@pytest.mark.parametrize(
    ("payload", "opcode", "why"),
    [
        (usage(1, "SECRET"), Opcode.BINARY, "not a whole text frame"),
        (usage(1, "SECRET").ljust(513), Opcode.TEXT, "513 bytes, at most 512 are allowed"),
        (b"SECRET", Opcode.TEXT, "not JSON"),
        (b'{"SECRET": 1}', Opcode.TEXT, 'not {"Metering": {"Dimension": text,'),
        (usage(1, "t", "SECRET" * 30), Opcode.TEXT, "Dimension has 180 characters, not 1-128"),
        (usage(0, "SECRET"), Opcode.TEXT, "ConsumedUnits is not more than 0"),
        (usage(10**400, "SECRET"), Opcode.TEXT, "ConsumedUnits is not more than 0, or too large"),
        (usage(1, "SECRET" * 11), Opcode.TEXT, "ClientToken has 66 characters, not 1-64"),
    ],
)
async def test_a_malformed_frame_is_dropped_the_connection_stays_and_the_log_says_why(
    payload: bytes, opcode: Opcode, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    container = MeteredContainer(SUPPORTED, REQUIRED)
    async with world(container) as w:
        stream = await opened(w)
        await container.report(payload, opcode=opcode)
        await container.report(usage(3, "good"))

        assert w.record.metering == {"minutes": 3}
        assert await echoed(stream)
        (line,) = told(caplog, "metering frame dropped")
        assert f"{w.record.id}: metering frame dropped: {why}" in line
        assert line.endswith("(M2)")
        assert not told(caplog, "SECRET")


@pytest.mark.clause("M2")
async def test_a_repeated_token_counts_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    container = MeteredContainer(SUPPORTED)
    async with world(container, clock=clock) as w:
        await opened(w)
        await container.report(usage(3, "SECRET"))
        await clock.advance(1)
        await container.report(usage(3, "SECRET"))

        assert w.record.metering == {"minutes": 3}
        assert len(told(caplog, "its ClientToken was counted before (M2)")) == 1
        assert not told(caplog, "SECRET")


@pytest.mark.clause("M2")
async def test_two_messages_in_a_second_count_as_one() -> None:
    clock = ManualClock()
    container = MeteredContainer(SUPPORTED)
    async with world(container, clock=clock) as w:
        await opened(w)
        await container.report(usage(1, "a"), usage(1, "b"))
        assert w.record.metering == {"minutes": 1}

        await clock.advance(1)
        await container.report(usage(1, "b"))
        assert w.record.metering == {"minutes": 2}


@pytest.mark.clause("M2")
async def test_a_containers_second_is_a_real_one_however_time_is_scaled() -> None:
    container = MeteredContainer(SUPPORTED)
    # The keepalive is put off: a second of this clock is 10 µs.
    contract = {"ping_interval": 1e9, "lifetime": 1e9, "health_interval": 1e9, "max_skew": 1e9}
    async with world(container, clock=ScaledClock(100_000), contract=contract, health="off") as w:
        await opened(w)
        await container.report(usage(1, "a"))
        await container.report(usage(1, "b"))

        assert w.record.metering == {"minutes": 1}


@pytest.mark.clause("M2")
async def test_a_flood_of_bad_frames_floods_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    container = MeteredContainer(SUPPORTED)
    async with world(container) as w:
        stream = await opened(w)
        await container.report(*[b"{}"] * 1000)
        await container.report(usage(1))
        stream.cancel()
        await w.watch.session_ended()

        assert w.record.metering == {"minutes": 1}
        lines = told(caplog, "metering frame dropped")
        assert len(lines) == 10
        assert lines[-1].endswith("; further ones are only counted")
        (end,) = told(caplog, "metadata stream ended")
        assert "1 frames counted, 1000 dropped" in end


@pytest.mark.clause("M2")
async def test_usage_that_was_reported_before_the_container_closed_its_stream_counts() -> None:
    container = MeteredContainer(SUPPORTED)
    async with world(container) as w:
        stream = await opened(w)
        await container.metadata_opened()
        await container.metadata.send(Opcode.TEXT, usage(4))
        await send_close(container.data, 1000)

        assert await stream.receive() is None
        await w.watch.session_ended()
        assert w.record.metering == {"minutes": 4}


@pytest.mark.clause("M2", "M3")
async def test_usage_that_was_on_its_way_when_the_data_stream_ended_counts() -> None:
    reads = asyncio.Event()
    container = MeteredContainer(SUPPORTED, reads=reads)
    async with world(container) as w:
        stream = await opened(w)
        await container.metadata_opened()
        await stream.close_input()
        await container.data_ended()
        # The container has not seen the Close of its metadata stream yet.
        await container.metadata.send(Opcode.TEXT, usage(4))
        reads.set()

        await w.watch.session_ended()
        assert w.record.metering == {"minutes": 4}
