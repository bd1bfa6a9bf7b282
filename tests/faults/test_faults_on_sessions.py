"""Each fault on a session as a whole, on real sockets: what both sides see of it."""

from __future__ import annotations

import asyncio
import base64

import pytest
from h2.errors import ErrorCodes
from websockets.frames import Opcode as Wire

from sagemaker_bidi import ManualClock
from sagemaker_bidi.faults.kinds.bandwidth import Bandwidth
from sagemaker_bidi.faults.kinds.close_container import CloseContainer
from sagemaker_bidi.faults.kinds.end import End
from sagemaker_bidi.faults.kinds.goaway import Goaway
from sagemaker_bidi.faults.kinds.ignore_pings import IgnorePings
from sagemaker_bidi.faults.kinds.inject_error import InjectError
from sagemaker_bidi.faults.kinds.inject_event import InjectEvent
from sagemaker_bidi.faults.kinds.inject_frame import InjectFrame
from sagemaker_bidi.faults.kinds.kill_container import KillContainer
from sagemaker_bidi.faults.kinds.reset_stream import ResetStream
from sagemaker_bidi.faults.kinds.silence import Silence
from sagemaker_bidi.faults.kinds.stop_reading import StopReading
from sagemaker_bidi.faults.kinds.tcp_reset import TcpReset
from sagemaker_bidi.faults.kinds.withhold_window import WithholdWindow
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from tests.faults.faulted import faulted
from tests.faults.stage import rule
from tests.faults.test_faults_on_items import opened, send, texts
from tests.transport.lean_client import LeanStream, Lost
from tests.transport.world import stalls


async def told(stream: LeanStream) -> dict[str, object]:
    """The headers of the next event."""
    event = await stream.receive()
    assert event is not None
    return dict(event.message.headers)


async def test_an_error_ends_the_session_after_exactly_so_many_parts() -> None:
    fault = InjectError("ModelStreamError", "StreamBroken", "Input stream broken")
    async with faulted(rule(fault, after=3)) as w:
        stream = await opened(w)
        await send(stream, "a", "b", "c")
        assert await texts(stream, 3) == [b"a", b"b", b"c"]
        event = await stream.receive()
        assert event is not None
        assert event.message.headers[":exception-type"] == "ModelStreamError"
        assert b"Input stream broken" in event.message.payload
        assert await stream.receive() is None
        ending = await w.watch.session_ended()
        assert (ending.by, ending.clause) == ("emulator", "E5")


async def test_a_stream_whose_parts_are_late_is_reset_after_exactly_so_many_of_them() -> None:
    slow = rule(Bandwidth(20.0))
    async with faulted(slow, rule(ResetStream("CANCEL"), after=3)) as w:
        stream = await opened(w)
        await send(stream, "a", "b", "c", "d")
        assert await texts(stream, 3) == [b"a", b"b", b"c"]
        with pytest.raises(Lost):
            await texts(stream, 2)
        assert stream.reset == ErrorCodes.CANCEL


async def test_an_error_that_ends_nothing_stands_between_the_parts() -> None:
    async with faulted(rule(InjectError("error", "Odd", "nothing", ends=False), after=1)) as w:
        stream = await opened(w)
        await send(stream, "a")
        await texts(stream, 1)
        assert (await told(stream))[":error-code"] == "Odd"
        await send(stream, "b")
        assert await texts(stream, 1) == [b"b"]


@pytest.mark.parametrize("kind", ["event", "exception"])
async def test_a_message_of_a_type_that_no_sdk_knows_reaches_the_client(kind: str) -> None:
    fault = InjectEvent("SomethingNew", kind, {"DataType": "UTF8"}, text="{}")  # type: ignore[arg-type]
    async with faulted(rule(fault, "opened")) as w:
        stream = await opened(w)
        event = await stream.receive()
        assert event is not None
        assert event.message.headers[":message-type"] == kind
        assert event.message.headers[f":{kind}-type"] == "SomethingNew"
        assert event.message.headers["DataType"] == "UTF8"
        assert event.message.payload == b"{}"
        await w.exchange(stream)


async def test_a_frame_that_nobody_sent_reaches_the_container() -> None:
    fault = InjectFrame(base64=base64.b64encode(b"\x00\xff").decode(), data_type="BINARY")
    async with faulted(rule(fault, "to-container", after=1)) as w:
        stream = await opened(w)
        await send(stream, "a")
        frames = await w.container_saw(2)
        assert [(f.opcode, f.payload) for f in frames] == [
            (Wire.TEXT, b"a"),
            (Wire.BINARY, b"\x00\xff"),
        ]
        assert await texts(stream, 2) == [b"a", b"\x00\xff"]


async def test_the_response_ends_as_if_all_had_been_said() -> None:
    async with faulted(rule(End(), after=2)) as w:
        stream = await opened(w)
        await send(stream, "a", "b")
        assert await texts(stream, 2) == [b"a", b"b"]
        assert await stream.receive() is None
        assert (await w.watch.session_ended()).error is None


@pytest.mark.parametrize(
    ("code", "clause"), [(1000, "E2"), (1008, "E1"), (1011, "E1"), (1005, "E2"), (1006, "E6")]
)
async def test_a_close_of_the_containers_is_what_the_rules_make_of_its_code(
    code: int, clause: str
) -> None:
    async with faulted(rule(CloseContainer(code, "told so"), after=1)) as w:
        stream = await opened(w)
        await send(stream, "a")
        await texts(stream, 1)
        ending = await w.watch.session_ended()
        assert (ending.by, ending.clause) == ("container", clause)
        body = await stream.finished()
        assert stream.ended
        assert (b"ModelStreamError" in body) == (ending.error is not None)
        if clause == "E1":
            assert b"told so" in body


@pytest.mark.clause("E6")
async def test_a_container_that_is_killed_ends_the_session_as_one_that_died() -> None:
    async with faulted(rule(KillContainer(), "to-container", after=2)) as w:
        stream = await opened(w)
        await send(stream, "a", "b")
        assert (await w.watch.session_ended()).clause == "E6"
        assert b"StreamBroken" in await stream.finished()


@pytest.mark.parametrize("code", ["CANCEL", "INTERNAL_ERROR", "REFUSED_STREAM", "NO_ERROR"])
async def test_a_stream_is_reset_with_its_code_after_exactly_so_many_parts(code: str) -> None:
    async with faulted(rule(ResetStream(code), after=3)) as w:  # type: ignore[arg-type]
        stream = await opened(w)
        await send(stream, "a", "b", "c")
        assert await texts(stream, 3) == [b"a", b"b", b"c"]
        with pytest.raises(Lost):
            await stream.receive()
        assert stream.reset == ErrorCodes[code]
        ending = await w.watch.session_ended()
        assert (ending.by, ending.why) == ("emulator", f"sent RST_STREAM {code}")


async def test_after_goaway_open_streams_go_on_and_new_ones_are_refused() -> None:
    async with faulted(rule(Goaway("ENHANCE_YOUR_CALM"), after=1)) as w:
        stream = await opened(w)
        await w.exchange(stream)
        await w.client.until(lambda: w.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM)
        await w.exchange(stream)
        other = await w.client.open()
        await other.finished()
        assert other.reset == ErrorCodes.REFUSED_STREAM


async def test_a_session_fault_comes_right_behind_its_item_however_many_come_at_once() -> None:
    async def says_much(connection: FrameSocket) -> None:
        for number in range(10):
            await connection.send(Wire.TEXT, str(number).encode())
        await connection.receive()

    plan = rule(InjectEvent("PayloadPart", text="injected"), after=3)
    async with faulted(plan, container=says_much) as w:
        stream = await opened(w)
        assert await texts(stream, 5) == [b"0", b"1", b"2", b"injected", b"3"]


async def test_a_tcp_reset_ends_every_stream_of_the_connection() -> None:
    async with faulted(rule(TcpReset(), after=1, sessions=1)) as w:
        first, second = await opened(w), await opened(w)
        await send(first, "a")
        await first.finished()
        await second.finished()
        assert w.client.lost
        await w.watch.session_ended(2)
        assert [record.closed_by for record in w.emulator.sessions] == ["emulator", "emulator"]


async def test_in_silence_nothing_comes_or_goes_and_on_removal_all_of_it_does() -> None:
    async with faulted(rule(Silence(), after=1)) as w:
        stream = await opened(w)
        await send(stream, "a")
        assert await texts(stream, 1) == [b"a"]
        await send(stream, "b", "c")
        w.client.h2.ping(b"12345678")
        w.client.flush()
        # The way of these to the emulator is shorter than that of an answer from it.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await stream.receive()
        assert w.client.acked_pings == 0
        assert len(w.container.frames) == 1

        w.emulator.faults.remove("plan")
        assert await texts(stream, 2) == [b"b", b"c"]
        await w.client.until(lambda: w.client.acked_pings == 1)
        assert w.record.lost == []


async def test_a_client_that_leaves_in_silence_ends_its_session() -> None:
    async with faulted(rule(Silence(), "opened")) as w:
        stream = await opened(w)
        await send(stream, "a")
        w.client.abort()
        assert (await w.watch.session_ended()).by == "client"


async def test_silence_does_not_outlast_the_emulator() -> None:
    async with faulted(rule(Silence(), "opened")) as w:
        await opened(w)
        async with asyncio.timeout(20):
            await w.emulator.stop()


async def test_a_container_that_is_not_read_is_heard_in_full_on_removal() -> None:
    size, count = 64 * 1024, 100
    sent = asyncio.Event()

    async def floods(connection: FrameSocket) -> None:
        for _ in range(count):
            await connection.send(Wire.BINARY, bytes(size))
        sent.set()
        await connection.receive()

    async with faulted(rule(StopReading(), "opened"), container=floods) as w:
        stream = await opened(w)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await sent.wait()

        w.emulator.faults.remove("plan")
        assert sum(map(len, await texts(stream, count))) == size * count
        assert w.record.lost == []


async def test_a_container_that_is_not_read_does_not_hold_up_the_end() -> None:
    # Nobody makes the seconds pass that a container has to close.
    async with faulted(rule(StopReading(), "opened"), clock=ManualClock()) as w:
        stream = await opened(w)
        await send(stream, "a")
        await w.container_saw(1)
        async with asyncio.timeout(20):
            await stream.close_input()
            assert await stream.receive() is None
            await w.watch.session_ended()


async def test_a_client_without_window_stalls_until_the_removal() -> None:
    async with faulted(rule(WithholdWindow(), "opened"), http2={"stream_window": 100_000}) as w:
        stream = await opened(w)
        sending = asyncio.create_task(send(stream, *["x" * 10_000] * 20))
        await w.client.until(lambda: stream.window == 0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.shield(sending)

        w.emulator.faults.remove("plan")
        await sending
        assert sum(map(len, await texts(stream, 20))) == 200_000


@pytest.mark.clause("F5")
async def test_pings_of_the_containers_stay_unanswered_until_the_removal() -> None:
    pongs = asyncio.Queue[bytes]()

    async def pings(connection: FrameSocket) -> None:
        while (frame := await connection.receive()) is not None:
            if frame.opcode is Wire.PONG:
                pongs.put_nowait(bytes(frame.data))
            elif frame.opcode is Wire.TEXT:
                await connection.send(Wire.PING, bytes(frame.data))
                await connection.send(Wire.TEXT, b"pinged")

    async with faulted(rule(IgnorePings(), "opened"), container=pings) as w:
        stream = await opened(w)
        await send(stream, "one")
        assert await texts(stream, 1) == [b"pinged"]
        w.emulator.faults.remove("plan")
        await send(stream, "two")
        async with asyncio.timeout(20):
            assert await pongs.get() == b"two"


async def test_a_session_ends_at_its_time() -> None:
    clock = ManualClock()
    async with faulted(rule(End(), "opened", at=20.0), clock=clock, container=stalls) as w:
        stream = await opened(w)
        await clock.advance(19.0)
        await w.client.ping()
        assert not stream.over
        await clock.advance(1.0)
        assert await stream.receive() is None
        await w.drive_to_the_end(clock)


async def test_a_fault_that_has_a_bug_fails_its_session_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        name = "broken"

        async def apply(self, *arguments: object) -> list[object]:
            raise RuntimeError("a bug in a fault")

    async with faulted(rule(Broken(), sessions=1)) as w:  # type: ignore[arg-type]
        first, second = await opened(w), await opened(w)
        await send(first, "a")
        await first.finished()
        assert first.reset == ErrorCodes.INTERNAL_ERROR
        await w.exchange(second)
    assert "a bug in a fault" in caplog.text
