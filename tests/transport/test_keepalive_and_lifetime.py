"""Pings, missed pongs and the longest life of a stream, in no real time (K1-K3)."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.frames import Close, Opcode

from sagemaker_bidi import ManualClock
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.misbehaving import MisbehavingContainer, NeverPong
from tests.transport.lean_client import LIMIT_SECONDS
from tests.transport.world import stalls, world

# The chunks carry the wall's time, which the driven clock leaves behind.
ANY_TIME = {"max_skew": 1e9}


@pytest.mark.clause("K1")
async def test_a_container_that_answers_is_pinged_each_60_seconds_and_kept() -> None:
    clock = ManualClock()
    async with world(clock=clock, contract=ANY_TIME) as w:
        stream = await (await w.client.open()).opened()
        for minute in range(10):
            await clock.advance(59.9)
            assert w.record.unanswered_pings == 0
            await clock.advance(0.1)
            frames = await w.container_saw(2 * minute + 1)
            assert frames[-1].opcode is Opcode.PING
            await w.exchange(stream)
            assert w.record.unanswered_pings == 0

        assert clock.now() == pytest.approx(600)
        assert w.record.open
        payloads = [f.payload for f in w.container.frames if f.opcode is Opcode.PING]
        assert len(set(payloads)) == 10, "each ping can be told from the others by its pong"


@pytest.mark.clause("K1")
async def test_five_unanswered_pings_end_the_stream_at_300_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    async with world(MisbehavingContainer(NeverPong()), clock=clock) as w:
        stream = await (await w.client.open()).opened()
        await clock.advance(299.9)
        assert w.record.open
        assert w.record.unanswered_pings == 4
        assert "has not answered 3 pings in a row (K1)" in caplog.text
        await clock.advance(0.1)

        error = await stream.receive()
        assert error is not None
        assert error.message.headers[":exception-type"] == "ModelStreamError"
        assert json.loads(error.message.payload) == {
            "ErrorCode": "StreamBroken",
            "Message": "Model container did not answer 5 consecutive pings.",
        }
        assert await stream.receive() is None
        ending = await w.watch.session_ended()
        assert (ending.by, ending.clause) == ("emulator", "K1")
        assert Close.parse(w.container.frames[-1].payload).code == 1011
        assert clock.now() == pytest.approx(300)


@pytest.mark.clause("K1")
async def test_a_client_that_does_not_read_is_named_as_the_cause_of_missed_pongs() -> None:
    async def floods(connection: FrameSocket) -> None:
        while True:
            await connection.send(Opcode.BINARY, bytes(64 * 1024))

    clock = ManualClock()
    async with world(floods, clock=clock, http2={"send_buffer": 64 * 1024}) as w:
        await (await w.client.open(reads=False)).opened()
        async with asyncio.timeout(LIMIT_SECONDS):
            # The first fills the client's window, the second what the emulator holds for it.
            while w.record.frames_received < 2:
                await clock.advance(0.001)
        await clock.advance(300)

        ending = await w.drive_to_the_end(clock)
        assert ending.clause == "K1"
        assert ending.hint.startswith("the client did not read its output")


@pytest.mark.clause("K1")
async def test_the_endpoint_stays_in_service_after_missed_pongs() -> None:
    clock = ManualClock()
    async with world(MisbehavingContainer(NeverPong()), clock=clock, contract=ANY_TIME) as w:
        silent = await (await w.client.open()).opened()
        await clock.advance(300)
        await silent.finished()

        again = await (await w.client.open()).opened()

        assert again.status == 200
        await w.exchange(again)


@pytest.mark.clause("K1")
async def test_what_the_client_sees_after_missed_pongs_is_a_setting() -> None:
    clock = ManualClock()
    other = {"event": "InternalStreamFailure", "code": "", "message": "gone after {pings}"}
    contract = {"missed_pongs": 2, "missed_pongs_error": other}
    async with world(MisbehavingContainer(NeverPong()), clock=clock, contract=contract) as w:
        stream = await (await w.client.open()).opened()
        await clock.advance(120)

        error = await stream.receive()
        assert error is not None
        assert error.message.headers[":exception-type"] == "InternalStreamFailure"
        assert json.loads(error.message.payload) == {"Message": "gone after 2"}


@pytest.mark.clause("K2")
async def test_a_stream_lives_30_minutes_and_not_longer() -> None:
    clock = ManualClock()
    async with world(clock=clock, contract={"ping_interval": 1e6, **ANY_TIME}) as w:
        stream = await (await w.client.open()).opened()
        await clock.advance(1799.9)
        await w.exchange(stream)
        assert w.record.open
        await clock.advance(0.1)

        error = await stream.receive()
        assert error is not None
        assert json.loads(error.message.payload) == {
            "ErrorCode": "ModelInvocationTimeExceeded",
            "Message": "The stream reached its longest duration of 1800 seconds.",
        }
        assert await stream.receive() is None
        assert (await w.watch.session_ended()).clause == "K2"
        assert Close.parse(w.container.frames[-1].payload).code == 1001


@pytest.mark.clause("K2")
async def test_the_limit_ends_a_stream_whose_container_takes_nothing() -> None:
    clock = ManualClock()
    settings = {"ping_interval": 1e6, **ANY_TIME}
    async with world(
        stalls, clock=clock, contract=settings, http2={"stream_window": 64 * 1024 * 1024}
    ) as w:
        stream = await (await w.client.open()).opened()
        for _ in range(30):
            await stream.send(bytes(1_000_000))
        await w.client.ping()
        await clock.advance(1800)

        assert await stream.receive() is not None
        assert await stream.receive() is None
        assert (await w.drive_to_the_end(clock)).clause == "K2"
