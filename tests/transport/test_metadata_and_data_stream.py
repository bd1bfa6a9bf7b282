"""A metadata stream and its data stream end each other, or do not (M3)."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from websockets.frames import Opcode

from sagemaker_bidi import ManualClock
from sagemaker_bidi_fixtures.containers.server import Accept
from tests.driven import DrivenClock
from tests.transport.metered import (
    DEFAULT_PATH,
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


@pytest.mark.clause("M3", "O4")
@pytest.mark.parametrize("status", [403, 404, 503])
async def test_a_required_stream_that_is_refused_refuses_the_invocation_with_424(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    container = MeteredContainer(SUPPORTED, REQUIRED, metadata=Accept(status))
    async with world(container) as w:
        stream = await w.client.open()
        body = json.loads(await stream.finished())

        assert (stream.status, stream.headers["x-amzn-errortype"]) == (424, "ModelError")
        assert body["OriginalStatusCode"] == 424
        assert body["ErrorCode"] == "INTERNAL_FAILURE_FROM_MODEL"
        assert w.emulator.sessions == []
        await container.data_ended()
        (line,) = told(caplog, "refused with 424")
        assert line.endswith(
            f"the metadata stream that it requires: {container.url}{DEFAULT_PATH} "
            f"answered the upgrade with HTTP {status} (M3)"
        )


@pytest.mark.clause("M3", "O3")
async def test_a_required_stream_has_250_ms_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    container = MeteredContainer(SUPPORTED, REQUIRED, metadata=Accept(delay=1))
    async with world(container, clock=clock, contract={"accept_seconds": 0.25}) as w:
        stream = await w.client.open()
        await container.held.wait()
        await clock.advance(0.249)
        assert not stream.over
        await clock.advance(0.001)

        await stream.finished()
        assert stream.status == 424
        assert told(caplog, f"{DEFAULT_PATH} did not accept the WebSocket within 250 ms (O3) (M3)")


@pytest.mark.clause("M1", "M3")
@pytest.mark.parametrize("accept", [Accept(404), Accept(delay=1)])
async def test_an_optional_stream_that_is_refused_is_done_without(
    accept: Accept, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    container = MeteredContainer(SUPPORTED, metadata=accept)
    async with world(container, clock=clock, contract={"accept_seconds": 0.25}) as w:
        stream = await w.client.open()
        if accept.delay:
            await container.held.wait()
            await clock.advance(0.25)

        await stream.opened()
        assert await echoed(stream)
        assert w.record.metering == {}
        assert told(caplog, "no metadata stream, and the container does not require it (M1): ")


async def lose(container: MeteredContainer, how: int | None) -> None:
    """End the metadata stream: with a Close frame, or without one."""
    await container.metadata_opened()
    if how is None:
        container.metadata.abort()
    else:
        await send_close(container.metadata, how)


@pytest.mark.clause("M3", "E5")
@pytest.mark.parametrize(("how", "code"), [(1000, 1000), (1011, 1011), (None, 1006)])
async def test_a_required_stream_that_drops_ends_the_data_stream_with_an_error(
    how: int | None, code: int
) -> None:
    container = MeteredContainer(SUPPORTED, REQUIRED)
    async with world(container) as w:
        stream = await opened(w)
        assert await echoed(stream)
        await lose(container, how)

        event = await stream.receive()
        assert event is not None
        assert event.message.headers[":exception-type"] == "ModelStreamError"
        assert json.loads(event.message.payload) == {
            "ErrorCode": "INTERNAL_FAILURE_FROM_MODEL",
            "Message": 'Received server error (424) from model with message "Metadata stream '
            'failed".',
        }
        assert await stream.receive() is None
        await container.closed_with(1011, "metadata stream lost")
        ending = await w.watch.session_ended()
        assert (ending.by, ending.clause) == ("container", "M3")
        assert ending.why.endswith(f"ended with {code}")


@pytest.mark.clause("M3")
@pytest.mark.parametrize("how", [1000, 1011, None])
async def test_an_optional_stream_that_drops_leaves_the_data_stream_alone(
    how: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    container = MeteredContainer(SUPPORTED)
    async with world(container) as w:
        stream = await opened(w)
        await container.report(usage(2))
        await lose(container, how)

        assert await echoed(stream)
        assert await echoed(stream)
        await send_close(container.data, 1000)
        assert await stream.receive() is None
        assert (await w.watch.session_ended()).clause == "E2"
        assert w.record.metering == {"minutes": 2}
        assert len(told(caplog, "metadata stream ended")) == 1


@pytest.mark.clause("M3", "K5")
async def test_a_frame_beyond_the_limit_ends_the_metadata_stream_alone() -> None:
    container = MeteredContainer(SUPPORTED)
    async with world(container, contract={"frame_bytes": 1000}) as w:
        stream = await opened(w)
        await container.metadata_opened()
        await container.metadata.send(Opcode.TEXT, b"x" * 1001)

        await container.closed_with(1009, "frame with 1001 bytes exceeds limit of 1000 bytes")
        assert await echoed(stream)


@pytest.mark.clause("M3")
@pytest.mark.parametrize("by", ["half-close", "reset", "connection", "container", "death"])
@pytest.mark.parametrize("headers", [(SUPPORTED,), (SUPPORTED, REQUIRED)])
async def test_the_metadata_stream_closes_with_the_data_stream(
    by: str, headers: tuple[tuple[str, str], ...]
) -> None:
    container = MeteredContainer(*headers)
    async with world(container) as w:
        stream = await opened(w)
        await container.report(usage(2))
        match by:
            case "half-close":
                await stream.close_input()
            case "reset":
                stream.cancel()
            case "connection":
                w.client.abort()
            case "container":
                await send_close(container.data, 1000)
            case _:
                container.data.abort()

        await container.closed_with(1000, "data stream ended")
        ending = await w.watch.session_ended()
        assert ending.clause != "M3"
        assert w.record.metering == {"minutes": 2}


@pytest.mark.clause("M3")
async def test_a_container_that_does_not_answer_the_close_holds_the_session_for_two_seconds() -> (
    None
):
    clock = DrivenClock()
    container = MeteredContainer(SUPPORTED, reads=asyncio.Event())
    async with world(container, clock=clock, health="off") as w:
        stream = await opened(w)
        await container.metadata_opened()
        await stream.close_input()
        assert await stream.receive() is None
        await clock.wait_for_sleeper(2.0)
        await clock.advance(1.99)
        assert w.record.open

        await clock.advance(0.01)
        await w.watch.session_ended()
        assert not w.record.open


@pytest.mark.clause("M3")
async def test_the_emulators_stop_closes_the_metadata_stream_too() -> None:
    container = MeteredContainer(SUPPORTED, REQUIRED)
    async with world(container) as w:
        await opened(w)
        await container.metadata_opened()
        await w.emulator.stop()

        await container.closed_with(1000, "data stream ended")
        assert (await w.watch.session_ended()).clause == "E5"
