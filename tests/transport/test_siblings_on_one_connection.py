"""Sessions that share a connection do not disturb each other, whatever one of them does."""

from __future__ import annotations

import asyncio

import pytest
from websockets.frames import Opcode

from sagemaker_bidi import Emulator, ManualClock, Passage, Tap
from sagemaker_bidi.contract.outputs import Ending
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.echo import EchoContainer, echo
from tests.transport.lean_client import LeanClient, LeanStream, Lost
from tests.transport.world import world

FLOOD_FRAME = bytes(64 * 1024)


async def does_as_told(connection: FrameSocket) -> None:
    """Its first frame tells this container what to do; then it echoes."""
    first = await connection.receive()
    if first is None:
        return
    match bytes(first.data):
        case b"end":
            await connection.close(1000)
        case b"flood":
            while True:
                await connection.send(Opcode.BINARY, FLOOD_FRAME)
        case b"stall":
            await asyncio.Event().wait()
        case other:
            await connection.send(first.opcode, other)
            await echo(connection)


def data_frame(stream: LeanStream, size: int = 16_384) -> bytes:
    """A DATA frame as it is under way when the stream ends: h2 would not send it any more."""
    return size.to_bytes(3) + b"\x00\x00" + stream.id.to_bytes(4) + bytes(size)


async def keep_sending(stream: LeanStream, payload: bytes) -> None:
    """Send parts until the stream is over."""
    while True:
        await stream.send(payload)
        # Sending into an open window does not wait, and nothing else would run.
        await asyncio.sleep(0)


async def test_a_client_that_sends_on_after_the_end_disturbs_nobody() -> None:
    async with world(does_as_told) as w:
        sibling = await w.client.open()
        await w.exchange(sibling)
        for _ in range(20):
            early = await w.client.open()
            await early.send(b"end")
            await early.finished()
            # In all it is more than the connection's window: what is dropped is credited too.
            for _ in range(60):
                w.client.write(data_frame(early))
            await w.client.ping()

        await w.exchange(sibling)
        assert w.client.goaway is None
        assert sibling.reset is None


async def test_a_session_that_its_client_does_not_read_holds_up_nobody() -> None:
    clock = ManualClock()
    async with world(does_as_told, clock=clock) as w:
        unread = await w.client.open(reads=False)
        sibling = await w.client.open()
        await unread.send(b"flood")
        await w.client.until(lambda: len(unread.body) == 65_535)  # its window
        record = w.record if w.record.frames_received else w.emulator.sessions[0]
        for _ in range(50):
            await w.exchange(sibling)
        held = record.frames_received
        for _ in range(50):
            await w.exchange(sibling)

        assert len(unread.body) == 65_535
        # The flood has stopped at the emulator's buffer, which slows the container by TCP.
        assert record.frames_received == held
        assert held * len(FLOOD_FRAME) < 2 * 1024 * 1024
        unread.cancel()
        await w.drive_to_the_end(clock)


async def test_an_unread_session_goes_on_when_its_client_reads_again() -> None:
    clock = ManualClock()
    async with world(does_as_told, clock=clock) as w:
        unread = await w.client.open(reads=False)
        await unread.send(b"flood")
        await w.client.until(lambda: len(unread.body) == 65_535)
        unread.reads = True
        w.client.h2.increment_flow_control_window(65_535, unread.id)
        w.client.flush()

        await w.client.until(lambda: len(unread.body) > 1_000_000)
        unread.cancel()
        await w.drive_to_the_end(clock)


async def test_a_stalled_container_closes_its_own_streams_window_only() -> None:
    clock = ManualClock()
    async with world(does_as_told, clock=clock) as w:
        stalled = await w.client.open()
        sibling = await w.client.open()
        await stalled.send(b"stall")
        sending = asyncio.create_task(keep_sending(stalled, bytes(500_000)))
        await w.client.until(lambda: stalled.window == 0)
        for _ in range(50):
            await w.exchange(sibling)

        assert not sending.done()
        stalled.cancel()
        with pytest.raises(Lost):
            await sending
        assert (await w.drive_to_the_end(clock)).by == "client"


class _FailsOn(Tap):
    """A tap with a bug."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self.ended_sessions = asyncio.Event()

    def passed(self, session_id: str, passage: Passage) -> None:
        if getattr(passage.item, "payload", None) == self._payload:
            raise RuntimeError("a bug in a tap")

    def ended(self, session_id: str, ending: Ending | None, at: float) -> None:
        self.ended_sessions.set()


async def test_a_bug_in_one_session_resets_its_stream_and_no_other(
    echo: EchoContainer, caplog: pytest.LogCaptureFixture
) -> None:
    tap = _FailsOn(b"trigger")
    async with (
        Emulator({"echo": echo.url}, taps=[tap]) as emulator,
        LeanClient(emulator.url, emulator.ca) as client,
    ):
        broken, sibling = await client.open(), await client.open()
        await broken.opened()
        await broken.send(b"trigger")
        await broken.finished()
        await tap.ended_sessions.wait()

        assert broken.reset == 2  # INTERNAL_ERROR: silence would leave the client waiting
        await sibling.send(b"fine")
        back = await sibling.receive()
        assert back is not None
        assert back.message.payload == b"fine"
        assert "a bug in a tap" in caplog.text
