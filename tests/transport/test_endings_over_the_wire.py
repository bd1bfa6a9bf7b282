"""How streams end, for the client and for the container (E1-E7, F7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from smithy_aws_event_stream.events import Event, EventMessage
from websockets.frames import Close, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from sagemaker_bidi import Config, Emulator, ManualClock
from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.tap import Item, Passage, Tap, TappedSession
from sagemaker_bidi_fixtures.containers.connection import FrameSocket, SeenFrame
from sagemaker_bidi_fixtures.containers.misbehaving import (
    AnswerWith,
    CloseAfter,
    DieAfter,
    MisbehavingContainer,
    ScriptedFrame,
)
from tests.transport.lean_client import LeanClient, LeanStream, payload_part
from tests.transport.world import stalls, world


def exception(event: Event | None) -> tuple[str, dict[str, Any]]:
    """Type and body of an exception in the stream (E5)."""
    assert event is not None
    assert event.message.headers[":message-type"] == "exception"
    return str(event.message.headers[":exception-type"]), json.loads(event.message.payload)


def unmodelled(event: Event | None) -> tuple[str, str]:
    """Code and message of an unmodelled error in the stream."""
    assert event is not None
    headers = event.message.headers
    assert headers[":message-type"] == "error"
    return str(headers[":error-code"]), str(headers[":error-message"])


def close_of(frame: SeenFrame) -> tuple[int, str]:
    """Code and reason of a Close frame."""
    assert frame.opcode is Opcode.CLOSE
    close = Close.parse(frame.payload)
    return close.code, close.reason


def spoken(stream: LeanStream) -> bool:
    return stream.ended and stream.reset in (None, 0)


@pytest.mark.clause("E1")
@pytest.mark.parametrize("code", [1001, 1008, 1009, 1011, 4000])
async def test_a_close_code_and_reason_become_a_model_stream_error(code: int) -> None:
    async with world(MisbehavingContainer(CloseAfter(1, code, "out of memory"))) as w:
        stream = await w.client.open()
        await stream.send(b"one", "UTF8")

        assert (await stream.receive()) is not None
        assert exception(await stream.receive()) == (
            "ModelStreamError",
            {"ErrorCode": str(code), "Message": "out of memory"},
        )
        assert await stream.receive() is None
        ending = await w.watch.session_ended()
        assert (ending.by, ending.clause) == ("container", "E1")
        # The Close is answered with the same code (RFC 6455 5.5.1).
        assert close_of(w.container.frames[-1])[0] == code


@pytest.mark.clause("E1")
async def test_a_container_that_accepts_speaks_and_closes_in_one_segment_is_heard() -> None:
    async def all_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol()
        protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        protocol.send_text(b"busy")
        protocol.send_close(1011, "no slot")
        writer.write(b"".join(protocol.data_to_send()))
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(all_at_once, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with (
            Emulator({"echo": url}, config=Config(port=0, health="off")) as emulator,
            LeanClient(emulator.url, emulator.ca) as client,
        ):
            stream = await client.open()

            first = await stream.receive()
            assert first is not None
            assert first.message.payload == b"busy"
            assert exception(await stream.receive())[1]["Message"] == "no slot"
            assert await stream.receive() is None


@pytest.mark.clause("E2")
async def test_a_normal_close_is_the_end_of_the_stream() -> None:
    async with world(MisbehavingContainer(CloseAfter(1, 1000))) as w:
        stream = await w.client.open()
        await stream.send(b"one", "UTF8")

        assert (await stream.receive()) is not None
        assert await stream.receive() is None
        assert (await w.watch.session_ended()).clause == "E2"


@pytest.mark.clause("E6")
async def test_a_container_that_dies_without_a_close_frame_is_stream_broken() -> None:
    async with world(MisbehavingContainer(DieAfter(1))) as w:
        stream = await w.client.open()
        await stream.send(b"one", "UTF8")

        last = await stream.receive()
        if last is not None and last.message.headers[":message-type"] == "event":
            last = await stream.receive()  # the echo may outrun the reset
        assert exception(last)[1]["ErrorCode"] == "StreamBroken"
        assert await stream.receive() is None
        assert (await w.watch.session_ended()).clause == "E6"


@pytest.mark.clause("E4")
async def test_an_error_frame_is_an_error_for_the_client_and_ends_the_stream() -> None:
    frame = json.dumps({"ModelStreamError": {"ErrorCode": "OOM", "Message": "no memory"}})
    answer = AnswerWith((ScriptedFrame(Opcode.TEXT, frame.encode()),), after=1)
    async with world(MisbehavingContainer(answer)) as w:
        stream = await w.client.open()
        await stream.send(b"one", "UTF8")

        assert exception(await stream.receive()) == (
            "ModelStreamError",
            {"ErrorCode": "OOM", "Message": "no memory"},
        )
        assert await stream.receive() is None
        await w.watch.session_ended()
        assert close_of(w.container.frames[-1])[0] == 1000


@pytest.mark.clause("E7")
async def test_with_reset_after_error_the_error_arrives_and_then_a_reset() -> None:
    container = MisbehavingContainer(CloseAfter(1, 1011, "broken"))
    async with world(container, contract={"reset_after_error": True}) as w:
        stream = await w.client.open()
        await stream.send(b"one", "UTF8")

        assert (await stream.receive()) is not None
        assert exception(await stream.receive())[0] == "ModelStreamError"
        await stream.finished()
        assert stream.reset == 2  # INTERNAL_ERROR
        assert not stream.ended


@pytest.mark.clause("E6")
async def test_a_frame_over_the_limit_ends_the_stream_and_says_why() -> None:
    async def shouts(connection: FrameSocket) -> None:
        await connection.send(Opcode.BINARY, bytes(2_000))
        # Never reads on: the emulator must not wait for it.
        await asyncio.Event().wait()

    clock = ManualClock()
    async with world(shouts, clock=clock, contract={"frame_bytes": 1_000}) as w:
        stream = await w.client.open()

        assert exception(await stream.receive())[1]["ErrorCode"] == "StreamBroken"
        assert await stream.receive() is None
        assert "1009" in (await w.drive_to_the_end(clock)).why


@pytest.mark.clause("E3")
async def test_a_half_close_ends_the_response_and_closes_the_container_with_1000() -> None:
    async with world() as w:
        stream = await w.client.open()
        await stream.send(b"one", "UTF8")
        assert (await stream.receive()) is not None
        await stream.close_input()

        assert await stream.receive() is None
        assert spoken(stream)
        ending = await w.watch.session_ended()
        assert (ending.by, ending.clause, ending.error) == ("client", "E3", None)
        assert close_of(w.container.frames[-1]) == (1000, "")


@pytest.mark.clause("E3")
async def test_an_end_of_stream_without_the_signed_end_is_a_half_close_too() -> None:
    async with world() as w:
        stream = await (await w.client.open()).opened()
        await stream.write(b"", end=True)

        assert await stream.receive() is None
        ending = await w.watch.session_ended()
        assert ending.clause == "E3"
        assert "without the signed end" in ending.why


@pytest.mark.clause("E3")
async def test_output_after_a_half_close_is_lost_counted_and_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    closed = asyncio.Event()

    async def finishes_its_sentence(connection: FrameSocket) -> None:
        await connection.receive()
        await closed.wait()
        for word in (b"the", b"last", b"words"):
            await connection.send(Opcode.TEXT, word)
        await connection.receive()

    async with world(finishes_its_sentence) as w:
        stream = await w.client.open()
        await stream.send(b"speech", "UTF8")
        await w.container_saw(1)
        await stream.close_input()
        assert await stream.receive() is None
        closed.set()

        await w.watch.session_ended()
        assert w.record.frames_after_close == 3
        assert w.record.parts_sent == 0
        (line,) = [r for r in caplog.records if "lost: 3 frames of output" in r.getMessage()]
        assert line.levelname == "WARNING"
        assert "close the input only after" in line.getMessage()


@pytest.mark.clause("E3")
async def test_input_that_a_stalled_container_has_not_taken_is_discarded_and_counted() -> None:
    clock = ManualClock()
    # More than loopback buffers and the reader of the stalled container can hold.
    async with world(stalls, clock=clock, http2={"stream_window": 64 * 1024 * 1024}) as w:
        stream = await (await w.client.open()).opened()
        chunks = [await stream.signed(payload_part(bytes(1_000_000))) for _ in range(30)]
        await stream.write(b"".join(chunks) + await stream.signed(None), end=True)

        assert await stream.receive() is None
        ending = await w.drive_to_the_end(clock)
        assert ending.clause == "E3"
        assert w.record.frames_discarded > 0


@pytest.mark.clause("E3")
@pytest.mark.parametrize("how", ["reset", "tcp"])
async def test_a_client_that_is_gone_closes_the_container(how: str) -> None:
    async with world() as w:
        stream = await w.client.open()
        await stream.send(b"one", "UTF8")
        assert (await stream.receive()) is not None
        if how == "reset":
            stream.cancel()
        else:
            w.client.abort()

        ending = await w.watch.session_ended()
        assert ending.by == "client"
        assert close_of(w.container.frames[-1]) == (1001, "client disconnected")


@pytest.mark.clause("E3")
async def test_a_client_that_is_gone_is_noticed_though_the_container_has_stalled() -> None:
    clock = ManualClock()
    async with world(stalls, clock=clock, http2={"stream_window": 64 * 1024 * 1024}) as w:
        stream = await (await w.client.open()).opened()
        for _ in range(30):
            await stream.send(bytes(1_000_000))
        await w.client.ping()
        stream.cancel()

        assert (await w.drive_to_the_end(clock)).by == "client"


@pytest.mark.clause("F7")
@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"DataType": "utf8"}, "DataType is 'utf8', expected UTF8 or BINARY"),
        ({"CompletionState": "DONE"}, "CompletionState is 'DONE', expected PARTIAL or COMPLETE"),
        ({":event-type": "Other"}, ":event-type is 'Other', expected 'PayloadPart'"),
    ],
)
async def test_an_invalid_part_ends_the_stream_with_an_error_that_names_it(
    headers: dict[str, Any], said: str
) -> None:
    async with world() as w:
        stream = await w.client.open()
        await stream.send(b"fine", "UTF8")
        assert (await stream.receive()) is not None
        part = payload_part(b"x")
        event = EventMessage(headers={**part.headers, **headers}, payload=b"x")
        await stream.write(await stream.signed(event))

        code, message = unmodelled(await stream.receive())
        assert code == "ValidationException"
        assert "event 2" in message
        assert said in message
        assert await stream.receive() is None
        assert (await w.watch.session_ended()).clause == "F7"
        assert close_of(w.container.frames[-1])[0] == 1001


class _HoldsErrors(Tap):
    """A tap that lets an error for the client wait."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def passing(self, session: TappedSession, passage: Passage) -> Sequence[Item]:
        if isinstance(passage.item, StreamError):
            await self.release.wait()
        return (passage.item,)


@pytest.mark.clause("F7")
async def test_an_error_that_a_tap_holds_arrives_though_the_container_is_gone_by_then() -> None:
    tap = _HoldsErrors()
    async with world(taps=[tap]) as w:
        stream = await w.client.open()
        await w.exchange(stream)
        await stream.write(b"garbage instead of an event")
        frames = await w.container_saw(2)
        assert close_of(frames[-1])[0] == 1001
        await w.client.ping()
        tap.release.set()

        assert unmodelled(await stream.receive())[0] == "ValidationException"
        assert await stream.receive() is None


@pytest.mark.clause("F7")
async def test_garbage_instead_of_an_event_is_an_error_in_the_stream() -> None:
    async with world() as w:
        stream = await w.client.open()
        await stream.write(b"this is no event stream, it is text")

        code, message = unmodelled(await stream.receive())
        assert code == "ValidationException"
        assert "checksum" in message
        assert await stream.receive() is None


@pytest.mark.clause("F7")
async def test_a_chunk_with_a_wrong_signature_is_an_error_in_the_stream() -> None:
    async with world() as w:
        stream = await w.client.open()
        stream.key = (stream.key[0], "another secret")
        await stream.send(b"one", "UTF8")

        assert unmodelled(await stream.receive())[0] == "InvalidSignatureException"
        assert await stream.receive() is None
        await w.watch.session_ended()
        assert all(frame.opcode is Opcode.CLOSE for frame in w.container.frames)


@pytest.mark.clause("F7")
async def test_an_event_that_is_cut_short_by_the_end_of_the_request_is_an_error() -> None:
    async with world() as w:
        stream = await w.client.open()
        chunk = await stream.signed(payload_part(b"one"))
        await stream.write(chunk[:-3], end=True)

        assert "the stream ended after" in unmodelled(await stream.receive())[1]
        assert await stream.receive() is None
