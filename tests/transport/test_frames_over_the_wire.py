"""Parts and frames pass one by one, as they are (F1-F3, W5, O2, O9)."""

from __future__ import annotations

import asyncio

import pytest
from websockets.frames import Opcode

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.contract.ledger import ledger
from sagemaker_bidi_fixtures.containers.misbehaving import (
    AnswerWith,
    MisbehavingContainer,
    ScriptedFrame,
    SendPings,
)
from tests.transport.lean_client import LeanClient, payload_part
from tests.transport.world import world

FRAMES = [
    pytest.param("UTF8", None, b'{"type":"session.update"}', Opcode.TEXT, id="text"),
    pytest.param("BINARY", None, bytes(range(256)), Opcode.BINARY, id="binary"),
    pytest.param(None, None, b"no DataType", Opcode.BINARY, id="no-data-type"),
    pytest.param("UTF8", None, b"\xff\xfe\xc3", Opcode.TEXT, id="invalid-utf8"),
    pytest.param("UTF8", None, b"", Opcode.TEXT, id="empty-text"),
    pytest.param("BINARY", "COMPLETE", b"", Opcode.BINARY, id="empty-binary"),
    pytest.param("BINARY", "COMPLETE", b"x" * 700_000, Opcode.BINARY, id="large"),
]


@pytest.mark.clause("F1")
@pytest.mark.parametrize(("data_type", "state", "payload", "opcode"), FRAMES)
async def test_a_part_is_one_frame_and_comes_back_as_one_part(
    data_type: str | None, state: str | None, payload: bytes, opcode: Opcode
) -> None:
    async with world() as w:
        stream = await w.client.open()
        await stream.send(payload, data_type, state)
        back = await stream.receive()

        assert back is not None
        assert back.message.payload == payload
        assert back.message.headers["DataType"] == ("UTF8" if opcode is Opcode.TEXT else "BINARY")
        assert back.message.headers["CompletionState"] == "COMPLETE"
        (seen,) = w.container.frames
        assert (seen.opcode, seen.payload, seen.fin) == (opcode, payload, True)


@pytest.mark.clause("F3")
async def test_partial_parts_are_fragments_in_both_directions() -> None:
    sent = [(b"one", "PARTIAL"), (b"", "PARTIAL"), (b"\xff", "PARTIAL"), (b"four", "COMPLETE")]
    async with world() as w:
        stream = await w.client.open()
        for payload, state in sent:
            await stream.send(payload, "UTF8", state)
        back = [await stream.receive() for _ in sent]

        assert [(f.opcode, f.payload, f.fin) for f in w.container.frames] == [
            (Opcode.TEXT, b"one", False),
            (Opcode.CONT, b"", False),
            (Opcode.CONT, b"\xff", False),
            (Opcode.CONT, b"four", True),
        ]
        received = [
            (e.message.payload, e.message.headers["CompletionState"], e.message.headers["DataType"])
            for e in back
            if e is not None
        ]
        assert received == [(payload, state, "UTF8") for payload, state in sent]


@pytest.mark.clause("F4")
async def test_the_setting_reassemble_makes_one_frame_of_partial_parts() -> None:
    async with world(contract={"reassemble": True}) as w:
        stream = await w.client.open()
        for payload, state in ((b"one ", "PARTIAL"), (b"two ", "PARTIAL"), (b"three", "COMPLETE")):
            await stream.send(payload, "UTF8", state)
        back = await stream.receive()

        assert back is not None
        assert back.message.payload == b"one two three"
        assert [(f.opcode, f.fin) for f in w.container.frames] == [(Opcode.TEXT, True)]


@pytest.mark.clause("F1")
async def test_hundreds_of_parts_in_one_burst_keep_their_order_and_borders() -> None:
    sent = [str(number).encode() * (1 + number % 50) for number in range(300)]
    async with world() as w:
        stream = await w.client.open()
        await stream.write(
            b"".join([await stream.signed(payload_part(payload)) for payload in sent])
        )
        back = [await stream.receive() for _ in sent]

        assert [event.message.payload for event in back if event is not None] == sent
        assert [frame.payload for frame in w.container.frames] == sent


@pytest.mark.clause("K5")
async def test_the_largest_frame_comes_through() -> None:
    size = 16 * 1024 * 1024
    answer = AnswerWith((ScriptedFrame(Opcode.BINARY, bytes(size)),))
    async with world(MisbehavingContainer(answer)) as w:
        stream = await w.client.open()
        await w.client.until(lambda: len(stream.body) > size or stream.over)

        assert not stream.over


@pytest.mark.clause("W5")
async def test_the_response_headers_come_before_any_input() -> None:
    async with world() as w:
        stream = await w.client.open()
        await stream.opened()

        assert stream.status == ledger().clause("W5").numbers["status"]
        assert stream.headers["content-type"] == "application/vnd.amazon.eventstream"
        assert stream.headers["x-amzn-requestid"] == w.record.id
        assert stream.headers["x-amzn-invoked-production-variant"] == "AllTraffic"
        assert w.container.frames == ()


@pytest.mark.clause("W5")
async def test_a_client_may_send_before_it_has_the_response_headers() -> None:
    async with world() as w:
        stream = await w.client.open()
        await stream.send(b"early", "UTF8")
        assert stream.headers == {}

        back = await stream.receive()

        assert back is not None
        assert back.message.payload == b"early"
        assert stream.status == 200


@pytest.mark.clause("O2")
async def test_the_container_is_asked_for_the_default_path() -> None:
    async with world() as w:
        await (await w.client.open()).opened()

        assert [r.path for r in w.container.requests] == ["/invocations-bidirectional-stream"]


@pytest.mark.clause("O2")
async def test_path_and_query_headers_make_the_target_of_the_upgrade() -> None:
    async with world() as w:
        stream = await w.client.open(
            headers={
                "X-Amzn-SageMaker-Model-Invocation-Path": "v1/realtime",
                "X-Amzn-SageMaker-Model-Query-String": "model=voxtral&lang=a%20b",
            }
        )
        await stream.finished()

        # The container serves no such path: what matters is what it was asked for.
        assert stream.status == 424
        assert [r.path for r in w.container.requests] == ["/v1/realtime?model=voxtral&lang=a%20b"]


@pytest.mark.clause("O2")
async def test_the_upgrade_is_http_1_1_and_offers_neither_extension_nor_subprotocol() -> None:
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    config = Config(port=0, health="off", contract={"accept_seconds": 10.0})
    async with (
        server,
        Emulator({"echo": url}, config=config) as emulator,
        LeanClient(emulator.url, emulator.ca) as client,
    ):
        await (await client.open()).finished()

    line, *headers = heads[0].decode().strip().split("\r\n")
    assert line == "GET /invocations-bidirectional-stream HTTP/1.1"
    fields = {name.lower(): value for name, _, value in (h.partition(": ") for h in headers)}
    assert sorted(fields) == [
        "connection",
        "host",
        "sec-websocket-key",
        "sec-websocket-version",
        "upgrade",
        "x-amzn-sagemaker-request-id",
    ]
    assert (fields["upgrade"], fields["connection"]) == ("websocket", "Upgrade")
    assert fields["sec-websocket-version"] == str(
        ledger().clause("O2").numbers["websocket_version"]
    )


@pytest.mark.clause("O9")
async def test_the_upgrade_carries_request_inference_and_session_id_and_nothing_else() -> None:
    async with world() as w:
        stream = await w.client.open(
            headers={
                "X-Amzn-SageMaker-Inference-Id": "inference-1",
                "X-Amzn-SageMaker-Session-Id": "session-1",
                "X-Custom": "stripped",
                "User-Agent": "stripped",
            }
        )
        await stream.opened()

        (upgrade,) = w.container.requests
        assert {name.lower(): value for name, value in upgrade.headers.raw_items()} == {
            "host": w.container.url.removeprefix("ws://"),
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-key": upgrade.headers["Sec-WebSocket-Key"],
            "sec-websocket-version": "13",
            "x-amzn-sagemaker-request-id": stream.headers["x-amzn-requestid"],
            "x-amzn-sagemaker-inference-id": "inference-1",
            "x-amzn-sagemaker-session-id": "session-1",
        }


@pytest.mark.clause("F5")
async def test_a_ping_of_the_container_is_answered_with_its_own_payload() -> None:
    async with world(MisbehavingContainer(SendPings((b"are you there", b"")))) as w:
        stream = await w.client.open()
        await stream.opened()
        frames = await w.container_saw(2)

        assert [(f.opcode, f.payload) for f in frames] == [
            (Opcode.PONG, b"are you there"),
            (Opcode.PONG, b""),
        ]
        assert w.record.parts_sent == 0
