"""A client that goes over a limit is told so, and its siblings go on (K5)."""

from __future__ import annotations

import asyncio
import json

import pytest
from smithy_aws_event_stream.events import EventMessage
from websockets.frames import Close

from sagemaker_bidi import ManualClock
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.echo import echo
from tests.transport.lean_client import LeanStream, payload_part
from tests.transport.world import world

pytestmark = pytest.mark.clause("K5")

# The chunks carry the wall's time, which the driven clock leaves behind.
ANY_TIME = {"max_skew": 1e9, "ping_interval": 1e6}


async def parts(stream: LeanStream, payloads: list[bytes]) -> bytes:
    """Signed parts in one piece."""
    return b"".join([await stream.signed(payload_part(payload)) for payload in payloads])


async def test_an_event_with_too_large_headers_is_answered_with_the_limit() -> None:
    async with world(contract={"event_header_bytes": 500}) as w:
        sibling = await w.client.open()
        stream = await w.client.open()
        await w.exchange(stream)
        event = payload_part(b"padded")
        padded = EventMessage(headers={**event.headers, "P": "x" * 500}, payload=event.payload)
        await stream.write(await stream.signed(padded))

        error = await stream.receive()
        assert error is not None
        assert error.message.headers[":error-code"] == "ValidationException"
        assert "bytes, the limit is 500" in str(error.message.headers[":error-message"])
        assert await stream.receive() is None
        await w.watch.session_ended()
        assert Close.parse(w.container.frames[-1].payload).code == 1001
        await w.exchange(sibling)


async def test_a_client_that_sends_too_many_events_is_throttled_after_a_seconds_worth() -> None:
    clock = ManualClock()
    async with world(clock=clock, contract={"events_per_second": 3, **ANY_TIME}) as w:
        sibling = await w.client.open()
        stream = await (await w.client.open()).opened()
        await stream.write(await parts(stream, [b"1", b"2", b"3"]))
        for _ in range(3):
            assert await stream.receive() is not None
        await clock.advance(1)
        await stream.write(await parts(stream, [b"4", b"5", b"6", b"7"]))

        error = None
        while error is None or ":error-code" not in error.message.headers:
            error = await stream.receive()
            assert error is not None
        assert error.message.headers[":error-code"] == "ThrottlingException"
        assert "more than 3 events a second" in str(error.message.headers[":error-message"])
        assert await stream.receive() is None
        assert "events_per_second" in (await w.watch.session_ended()).why
        assert w.record.parts_received == 6
        assert Close.parse(w.container.frames[-1].payload).code == 1001
        await w.exchange(sibling)


async def test_a_client_is_not_throttled_for_what_a_slow_container_held_up() -> None:
    reads = asyncio.Event()

    async def slow(connection: FrameSocket) -> None:
        await reads.wait()
        await echo(connection)

    clock = ManualClock()
    contract = {"events_per_second": 30, **ANY_TIME}
    http2 = {"stream_window": 64 * 1024 * 1024}
    async with world(slow, clock=clock, contract=contract, http2=http2) as w:
        stream = await (await w.client.open()).opened()
        # More than the system holds for a container that does not read.
        await stream.send(bytes(16_000_000))
        await w.watch.until(lambda: w.record.parts_received == 1)
        await stream.write(await parts(stream, [b"more"] * 60))
        await w.client.ping()
        assert w.record.parts_received == 1, "the container holds nothing up"
        await clock.advance(2)
        reads.set()

        await w.watch.until(lambda: w.record.parts_received == 61 or w.watch.endings)
        assert w.record.open


async def test_an_idle_stream_ends_with_an_error_for_the_client_and_1001_for_the_container() -> (
    None
):
    clock = ManualClock()
    async with world(clock=clock, contract={"idle_seconds": 90, "max_skew": 1e9}) as w:
        stream = await (await w.client.open()).opened()
        await clock.advance(80)
        await w.exchange(stream)
        await clock.advance(89)
        assert w.record.open
        assert len(w.container.frames) > 1, "pings passed meanwhile"
        await clock.advance(1)

        error = await stream.receive()
        assert error is not None
        assert error.message.headers[":exception-type"] == "ModelStreamError"
        assert json.loads(error.message.payload) == {
            "ErrorCode": "ModelInvocationTimeExceeded",
            "Message": "The stream was idle for 90 seconds.",
        }
        assert await stream.receive() is None
        assert (await w.watch.session_ended()).clause == "K5"
        assert Close.parse(w.container.frames[-1].payload).code == 1001
