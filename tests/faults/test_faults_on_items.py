"""Each fault on what passes, on real sockets: what arrives, and what the account says."""

from __future__ import annotations

import asyncio
import time

import pytest
from smithy_aws_event_stream.events import Event
from websockets.frames import Opcode as Wire

from sagemaker_bidi import ManualClock
from sagemaker_bidi.faults.kinds.bandwidth import Bandwidth
from sagemaker_bidi.faults.kinds.corrupt import Corrupt
from sagemaker_bidi.faults.kinds.delay import Delay
from sagemaker_bidi.faults.kinds.delay_pongs import DelayPongs
from sagemaker_bidi.faults.kinds.drop import Drop
from sagemaker_bidi.faults.kinds.duplicate import Duplicate
from sagemaker_bidi.faults.kinds.hold import Hold
from sagemaker_bidi.faults.kinds.replace import Replace
from sagemaker_bidi.faults.kinds.truncate import Truncate
from sagemaker_bidi.session.border import DROPPED, HELD
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from tests.faults.faulted import faulted, lost
from tests.faults.stage import rule
from tests.transport.lean_client import LeanStream
from tests.transport.world import World

POINTS = ("to-container", "from-container", "to-client")


async def opened(w: World) -> LeanStream:
    stream = await w.client.open()
    return await stream.opened()


async def texts(stream: LeanStream, count: int) -> list[bytes]:
    """The payloads of the next events."""
    received = []
    for _ in range(count):
        event = await stream.receive()
        assert event is not None
        received.append(bytes(event.message.payload))
    return received


async def send(stream: LeanStream, *payloads: str) -> None:
    for payload in payloads:
        await stream.send(payload.encode(), "UTF8")


@pytest.mark.parametrize("point", POINTS)
async def test_what_is_dropped_does_not_arrive_and_is_accounted_for(point: str) -> None:
    async with faulted(rule(Drop(), point, after=1, times=1)) as w:
        stream = await opened(w)
        await send(stream, "a", "b", "c")
        assert await texts(stream, 2) == [b"a", b"c"]
        way = "input" if point == "to-container" else "output"
        assert lost(w.record) == {(way, DROPPED): 1}
        assert w.record.parts_sent == 2


@pytest.mark.parametrize("point", POINTS)
async def test_what_is_duplicated_arrives_again(point: str) -> None:
    async with faulted(rule(Duplicate(2), point, times=1)) as w:
        stream = await opened(w)
        await send(stream, "a", "b")
        assert await texts(stream, 4) == [b"a", b"a", b"a", b"b"]
        account = w.record.account
        added = account.input.added if point == "to-container" else account.output.added
        assert (added.messages, added.payload_bytes) == (2, 2)


@pytest.mark.parametrize("point", POINTS)
async def test_what_is_replaced_arrives_as_something_else(point: str) -> None:
    async with faulted(rule(Replace(text="something else"), point, times=1)) as w:
        stream = await opened(w)
        await send(stream, "a", "b")
        assert await texts(stream, 2) == [b"something else", b"b"]


async def test_a_type_alone_can_be_replaced() -> None:
    async with faulted(rule(Replace(data_type="BINARY"), "to-container")) as w:
        stream = await opened(w)
        await send(stream, "text")
        event = await stream.receive()
        assert event is not None
        assert event.message.headers["DataType"] == "BINARY"
        [frame] = await w.container_saw(1)
        assert (frame.opcode, frame.payload) == (Wire.BINARY, b"text")


async def test_bytes_of_any_kind_can_be_put_in_the_place_of_others() -> None:
    async with faulted(rule(Replace(base64="//8="), "to-client")) as w:
        stream = await opened(w)
        await send(stream, "text")
        assert await texts(stream, 1) == [b"\xff\xff"]


@pytest.mark.parametrize("point", POINTS)
async def test_a_corrupt_payload_differs_in_one_bit_and_its_checksums_are_right(point: str) -> None:
    async with faulted(rule(Corrupt(), point)) as w:
        stream = await opened(w)
        await send(stream, "a" * 100, "")
        first, second = await texts(stream, 2)
        changed = [one ^ other for one, other in zip(first, b"a" * 100, strict=True)]
        assert sorted(changed)[:99] == [0] * 99
        assert max(changed).bit_count() == 1
        assert second == b""


@pytest.mark.parametrize("where", ["message-crc", "prelude-crc", "header"])
async def test_a_corrupt_message_cannot_be_read_by_the_sdks_decoder(where: str) -> None:
    from io import BytesIO

    async with faulted(rule(Corrupt(where), times=1, after=1)) as w:  # type: ignore[arg-type]
        stream = await opened(w)
        await send(stream, "fine", "broken")
        assert await texts(stream, 1) == [b"fine"]
        await w.client.until(lambda: len(stream.body) > 2 * len(b"broken") + 200)
        with pytest.raises(Exception, match=r"(?i)checksum|crc|header|type|0xff|255"):
            Event.decode(BytesIO(stream.body[stream._parsed :]))


async def test_a_truncated_message_is_the_end_of_the_response() -> None:
    async with faulted(rule(Truncate(30), after=1)) as w:
        stream = await opened(w)
        await send(stream, "a", "b")
        assert await texts(stream, 1) == [b"a"]
        await stream.finished()
        assert stream.ended
        assert len(stream.body) - stream._parsed == 30
        await w.watch.session_ended()
        assert w.record.ending is not None
        assert w.record.ending.error is None
        assert lost(w.record) == {("output", DROPPED): 1}


@pytest.mark.parametrize("point", POINTS)
async def test_a_delay_makes_all_items_late_by_the_same_and_keeps_their_order(point: str) -> None:
    clock = ManualClock()
    async with faulted(rule(Delay(3.0), point), clock=clock) as w:
        stream = await opened(w)
        await send(stream, "a", "b", "c")
        await w.client.ping()
        await w.watch.until(lambda: w.record.parts_received == 3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await stream.receive()
        await advance_until(clock, stream, len("abc"))
        assert 3.0 <= clock.now() < 4.0


async def advance_until(clock: ManualClock, stream: LeanStream, count: int) -> list[bytes]:
    """Let time pass in small steps until so many events have come."""
    receiving = asyncio.create_task(texts(stream, count))
    async with asyncio.timeout(10):
        while not receiving.done():
            await asyncio.sleep(0.001)
            await clock.advance(0.01)
    return await receiving


async def test_a_long_line_carries_many_items_at_a_time() -> None:
    count, seconds = 50, 0.2
    async with faulted(rule(Delay(seconds), "to-client")) as w:
        stream = await opened(w)
        begin = time.perf_counter()
        await send(stream, *map(str, range(count)))
        assert await texts(stream, count) == [str(n).encode() for n in range(count)]
        took = time.perf_counter() - begin
        assert seconds <= took < seconds * 10


async def test_a_slow_line_takes_as_long_as_its_bytes() -> None:
    async with faulted(rule(Bandwidth(10_000.0), "to-container")) as w:
        stream = await opened(w)
        begin = time.perf_counter()
        await send(stream, *["x" * 500] * 6)
        await texts(stream, 6)
        assert 0.28 <= time.perf_counter() - begin < 3.0


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("fault", [Hold(), Delay(3600.0), Bandwidth(0.001)])
async def test_removal_lets_all_that_waits_pass_at_once_and_loses_no_byte(
    point: str, fault: Hold
) -> None:
    sent = [f"part {number}" for number in range(20)]
    async with faulted(rule(fault, point, after=2)) as w:
        stream = await opened(w)
        await send(stream, *sent)
        assert await texts(stream, 2) == [each.encode() for each in sent[:2]]
        await w.watch.until(lambda: w.record.parts_received == 20)

        w.emulator.faults.remove("plan")
        await send(stream, "and on")
        assert await texts(stream, 19) == [each.encode() for each in [*sent[2:], "and on"]]
        assert w.record.lost == []


async def test_what_is_let_go_all_at_once_goes_on_by_itself_however_much_it_is() -> None:
    """More than the socket's buffer takes, and nothing comes after it that would push it."""
    sent = [f"{number:02}" + "x" * 20_000 for number in range(20)]
    async with faulted(rule(Hold(), "to-container")) as w:
        stream = await opened(w)
        await send(stream, *sent)
        await w.watch.until(lambda: w.record.parts_received == 20)

        w.emulator.faults.remove("plan")
        assert await texts(stream, 20) == [each.encode() for each in sent]


@pytest.mark.clause("E3")
@pytest.mark.parametrize("point", POINTS)
async def test_what_is_held_when_the_client_closes_its_input_is_lost_and_counted(
    point: str,
) -> None:
    async with faulted(rule(Hold(), point, after=1)) as w:
        stream = await opened(w)
        await send(stream, "a", "b", "c")
        assert await texts(stream, 1) == [b"a"]
        await w.watch.until(lambda: w.record.parts_received == 3)
        if point != "to-container":
            await w.container_saw(3)
            while w.record.account.output.accepted.messages < 3:
                await w.client.ping()
        await stream.close_input()
        if point == "to-client":
            # The line to the client is what stands still: its end waits behind what is held.
            stream.cancel()
        else:
            assert await stream.receive() is None
        await w.watch.session_ended()
        way = "input" if point == "to-container" else "output"
        assert lost(w.record) == {(way, HELD): 2}


@pytest.mark.parametrize("point", POINTS)
async def test_a_client_that_leaves_ends_a_session_that_is_held(point: str) -> None:
    async with faulted(rule(Hold(), point)) as w:
        stream = await opened(w)
        await send(stream, "a")
        await w.watch.until(lambda: w.record.parts_received == 1)
        stream.cancel()
        assert (await w.watch.session_ended()).by == "client"


async def test_a_container_that_closes_is_heard_after_all_that_it_has_said() -> None:
    async def says_and_closes(connection: FrameSocket) -> None:
        for number in range(3):
            await connection.send(Wire.TEXT, str(number).encode())
        await connection.close(1000)

    rules = rule(Delay(0.1), "from-container"), rule(Delay(0.1), "to-client")
    async with faulted(*rules, container=says_and_closes) as w:
        stream = await opened(w)
        assert await texts(stream, 3) == [b"0", b"1", b"2"]
        assert await stream.receive() is None
        assert w.record.lost == []


async def test_a_line_that_is_full_slows_the_side_that_sends() -> None:
    size, count = 64 * 1024, 64
    async with faulted(rule(Hold(), "to-container")) as w:
        stream = await opened(w)
        sending = asyncio.create_task(send(stream, *["x" * size] * count))
        await w.watch.until(lambda: w.record.parts_received > 16)
        await w.client.ping()
        assert not sending.done()
        assert w.record.parts_received < count

        w.emulator.faults.remove("plan")
        await sending
        assert len(b"".join(await texts(stream, count))) == size * count


@pytest.mark.clause("K1")
async def test_pongs_that_are_dropped_end_the_session_like_a_container_that_is_frozen() -> None:
    clock = ManualClock()
    async with faulted(rule(Drop(), "from-container", kind="pong"), clock=clock) as w:
        stream = await opened(w)
        await w.exchange(stream)
        ending = await w.drive_to_the_end(clock)
        assert ending.clause == "K1"
        assert clock.now() >= 5 * 60


@pytest.mark.clause("K1")
async def test_pongs_that_are_late_but_come_keep_the_session() -> None:
    clock = ManualClock()
    late = rule(DelayPongs(100.0), "from-container", kind="pong")
    async with faulted(late, clock=clock, contract={"max_skew": 3600.0}) as w:
        stream = await opened(w)
        for _ in range(10):
            await pings_answered(w, clock)
        await w.exchange(stream)
        assert w.record.open
        assert w.record.unanswered_pings <= 2


async def pings_answered(w: World, clock: ManualClock) -> None:
    """Let 60 s pass, and the container answer."""
    before = w.container.seen.frame_count
    await clock.advance(60.0)
    await w.container_saw(before + 1)
    await asyncio.sleep(0.01)
