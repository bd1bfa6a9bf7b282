"""A container's metadata stream beside its data stream, over real sockets (M1-M3)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

import pytest
from websockets.frames import Close, Opcode

from emulator import ManualClock, ScaledClock
from fixtures.containers.connection import FrameSocket
from fixtures.containers.echo import echo
from fixtures.containers.server import DATA_PATH, Accept, FrameServer
from tests.hosting.driven import DrivenClock
from tests.transport.lean_client import LIMIT_SECONDS, LeanStream
from tests.transport.world import World, world

SUPPORTED = ("X-Amzn-SageMaker-Metadata-Stream-Supported", "true")
REQUIRED = ("X-Amzn-SageMaker-Metadata-Stream-Required", "true")
PATH = "X-Amzn-SageMaker-Metadata-Invocation-Path"
DEFAULT_PATH = "/invocations-bidirectional-stream-metadata"
REQUEST_ID = "X-Amzn-SageMaker-Request-Id"


def usage(units: object = 1, token: object = "t", dimension: object = "minutes") -> bytes:
    fields = {"Dimension": dimension, "ConsumedUnits": units, "ClientToken": token}
    return json.dumps({"Metering": fields}).encode()


class MeteredContainer(FrameServer):
    """An echo container that offers a metadata stream.

    Args:
        headers: of every upgrade's response.
        paths: of the metadata stream.
        metadata: how the metadata stream's upgrade is answered; as the data stream's unless given.
        reads: set when the metadata stream may be read, and its Close answered; from the start
            unless given.
    """

    def __init__(
        self,
        *headers: tuple[str, str],
        paths: tuple[str, ...] = (DEFAULT_PATH,),
        metadata: Accept | None = None,
        reads: asyncio.Event | None = None,
    ) -> None:
        super().__init__(
            self._serve_socket,
            port=0,
            paths=(DATA_PATH, *paths),
            accept=Accept(headers=headers),
            wait=self._hold,
        )
        self.sockets: list[FrameSocket] = []
        self.held = asyncio.Event()
        self._opened = asyncio.Event()
        self._data_ended = asyncio.Event()
        self._metadata = metadata
        self._reads = reads

    async def _serve_socket(self, connection: FrameSocket) -> None:
        self.sockets.append(connection)
        self._opened.set()
        self.accept = self._metadata or self.accept
        if connection is not self.data:
            if self._reads is not None:
                await self._reads.wait()
            await echo(connection)
            return
        try:
            await echo(connection)
        finally:
            self._data_ended.set()

    async def _hold(self, seconds: float) -> None:
        if seconds:
            self.held.set()
            await asyncio.Event().wait()

    @property
    def data(self) -> FrameSocket:
        return self.sockets[0]

    @property
    def metadata(self) -> FrameSocket:
        return self.sockets[1]

    async def metadata_opened(self) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(self.sockets) < 2:
                self._opened.clear()
                await self._opened.wait()

    async def data_ended(self) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._data_ended.wait()

    async def report(self, *payloads: bytes, opcode: Opcode = Opcode.TEXT) -> None:
        """Send metering frames and wait until the emulator has dealt with them."""
        await self.metadata_opened()
        for payload in payloads:
            await self.metadata.send(opcode, payload)
        # It answers a ping after it has read what came before.
        pongs = self._count(Opcode.PONG)
        await self.metadata.send(Opcode.PING, b"")
        await self._until(lambda: self._count(Opcode.PONG) > pongs)

    async def closed_with(self, code: int, reason: str) -> None:
        """Wait for a Close frame on either WebSocket."""
        wanted = Close(code, reason).serialize()
        await self._until(
            lambda: any(
                frame.opcode is Opcode.CLOSE and frame.payload == wanted for frame in self.frames
            )
        )

    def _count(self, opcode: Opcode) -> int:
        return sum(frame.opcode is opcode for frame in self.frames)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS), self.seen.changed:
            await self.seen.changed.wait_for(condition)


async def opened(w: World) -> LeanStream:
    stream = await (await w.client.open()).opened()
    assert stream.status == 200
    return stream


async def echoed(stream: LeanStream) -> bool:
    await stream.send(b"hello")
    event = await stream.receive()
    return event is not None and event.message.payload == b"hello"


def told(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [line for record in caplog.records if words in (line := record.getMessage())]


# M1: the second WebSocket.


@pytest.mark.clause("M1")
async def test_a_second_websocket_follows_the_first_with_the_same_request_id() -> None:
    container = MeteredContainer(SUPPORTED)
    async with world(container) as w:
        stream = await opened(w)

        assert [request.path for request in container.requests] == [DATA_PATH, DEFAULT_PATH]
        ids = {request.headers[REQUEST_ID] for request in container.requests}
        assert ids == {stream.headers["x-amzn-requestid"]}


@pytest.mark.clause("M1")
@pytest.mark.parametrize(
    "headers",
    [(), (("X-Amzn-SageMaker-Metadata-Stream-Supported", "false"), REQUIRED), (REQUIRED,)],
)
async def test_no_second_websocket_is_opened_without_an_offer(
    headers: tuple[tuple[str, str], ...],
) -> None:
    container = MeteredContainer(*headers)
    async with world(container) as w:
        stream = await opened(w)

        assert await echoed(stream)
        assert [request.path for request in container.requests] == [DATA_PATH]
        assert w.record.metering == {}


@pytest.mark.clause("M1")
@pytest.mark.parametrize(
    "name",
    ["x-amzn-sagemaker-metadata-stream-supported", "X-AMZN-SAGEMAKER-METADATA-STREAM-SUPPORTED"],
)
async def test_an_offer_is_read_in_any_case(name: str) -> None:
    container = MeteredContainer((name, "True"))
    async with world(container) as w:
        await opened(w)

        assert len(container.requests) == 2


@pytest.mark.clause("M1")
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/v1/usage", "/v1/usage"),
        ("v1/usage", "/v1/usage"),
        ("usage#1", "/usage%231"),
        ("my usage", "/my%20usage"),
    ],
)
async def test_the_container_may_name_the_path(value: str, path: str) -> None:
    container = MeteredContainer(SUPPORTED, REQUIRED, (PATH, value), paths=(path,))
    async with world(container) as w:
        await opened(w)

        assert container.requests[1].path == path


@pytest.mark.clause("M1")
async def test_the_clients_path_and_query_are_for_the_data_stream_alone() -> None:
    container = MeteredContainer(SUPPORTED, paths=(DEFAULT_PATH, "/v1/realtime"))
    async with world(container) as w:
        headers = {
            "X-Amzn-SageMaker-Model-Invocation-Path": "v1/realtime",
            "X-Amzn-SageMaker-Model-Query-String": "model=x",
        }
        await (await w.client.open(headers=headers)).opened()

        assert [request.path for request in container.requests] == [
            "/v1/realtime?model=x",
            DEFAULT_PATH,
        ]


# M2: metering.


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


# M3: both together.


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


async def send_close(connection: FrameSocket, code: int) -> None:
    """Send a Close frame; what reads the connection sees the answer to it."""
    await connection.send(Opcode.CLOSE, Close(code, "").serialize())


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
