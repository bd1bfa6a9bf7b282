"""What the load generator puts on the wire, held against those who know the formats."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import hpack
import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.uri import parse_uri

from benchmarks.container import EchoContainer
from benchmarks.load.http2 import literal_block
from benchmarks.load.payloads import BULK_FRAME, VOICE_FRAME, Payload, payloads
from benchmarks.load.signing import ACCESS_KEY_ID, SECRET_ACCESS_KEY, ChunkSigner, sign_request
from sagemaker_bidi.contract.eventstream.messages import Decoder
from sagemaker_bidi.contract.sigv4.chunks import ChunkChain
from sagemaker_bidi.contract.sigv4.credentials import Credentials
from sagemaker_bidi.contract.sigv4.request import SignedRequest, verify_request

PATH = "/endpoints/bench/invocations-bidirectional-stream"
KEYS = {ACCESS_KEY_ID: Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY)}


@pytest.fixture(scope="module")
def texts() -> list[Payload]:
    return payloads(VOICE_FRAME)


def test_payloads_have_their_size_are_json_and_are_the_same_each_time(
    texts: list[Payload],
) -> None:
    assert {len(payload.text) for payload in texts} == {VOICE_FRAME}
    assert json.loads(texts[0].text)["type"] == "input_audio_buffer.append"
    assert texts == payloads(VOICE_FRAME)
    assert len({payload.text for payload in texts}) == len(texts)


def test_a_signed_request_and_its_chunks_pass_the_check_of_signatures(
    texts: list[Payload],
) -> None:
    authority = "127.0.0.1:8443"
    headers, signature = sign_request(PATH, authority)
    request = SignedRequest("POST", PATH, "", (*headers, ("host", authority)))
    now = time.time()
    verified = verify_request(request, KEYS, now=now, region="us-east-1", unknown_keys="refuse")
    chain, signer, outer = ChunkChain(verified, KEYS), ChunkSigner(signature), Decoder()
    for payload in texts[:3]:
        outer.receive_data(signer.sign(payload))
        message = outer.next_message()
        assert message is not None
        assert chain.verify(message, now=now) == payload.event


def test_an_event_is_a_text_part_with_the_payload(texts: list[Payload]) -> None:
    decoder = Decoder()
    decoder.receive_data(texts[0].event)
    message = decoder.next_message()
    assert message is not None
    assert message.payload == texts[0].text
    assert message.headers["DataType"] == "UTF8"
    assert message.headers[":event-type"] == "PayloadPart"


def test_header_blocks_read_back_as_they_were() -> None:
    headers = [(":method", "POST"), ("authorization", "x" * 300), ("a", "y" * 127), ("b", "")]
    decoded = hpack.Decoder().decode(literal_block(headers))
    assert [(str(name), str(value)) for name, value in decoded] == headers


class _Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        data, self.written = self.written, b""
        return data


def _connected() -> tuple[EchoContainer, _Wire, ClientProtocol]:
    container, wire = EchoContainer(), _Wire()
    container.connection_made(wire)
    client = ClientProtocol(parse_uri("ws://127.0.0.1/"), max_size=None)
    client.send_request(client.connect())
    container.data_received(b"".join(client.data_to_send()))
    client.receive_data(wire.taken())
    client.events_received()
    assert client.handshake_exc is None
    return container, wire, client


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_the_container_echoes_frames_of_every_length_with_their_bits(size: int) -> None:
    container, wire, client = _connected()
    client.send_text(b"a" * size, fin=False)
    client.send_continuation(b"b" * size, fin=True)
    container.data_received(b"".join(client.data_to_send()))
    client.receive_data(wire.taken())
    frames = [event for event in client.events_received() if isinstance(event, Frame)]
    assert [(bytes(f.data), f.fin, int(f.opcode)) for f in frames] == [
        (b"a" * size, False, 1),
        (b"b" * size, True, 0),
    ]


def test_the_container_takes_frames_in_any_pieces(texts: list[Payload]) -> None:
    container, wire, client = _connected()
    data = texts[0].frame + texts[1].frame
    for start in range(0, len(data), 7):
        container.data_received(data[start : start + 7])
    client.receive_data(wire.taken())
    frames = [event for event in client.events_received() if isinstance(event, Frame)]
    assert [bytes(frame.data) for frame in frames] == [texts[0].text, texts[1].text]


def test_bulk_frames_are_masked_as_a_client_must(texts: list[Payload]) -> None:
    container, wire, client = _connected()
    (bulk, *_) = payloads(BULK_FRAME)
    container.data_received(bulk.frame)
    client.receive_data(wire.taken())
    (frame,) = (event for event in client.events_received() if isinstance(event, Frame))
    assert bytes(frame.data) == bulk.text


def test_the_container_answers_a_close_and_a_health_check() -> None:
    container, wire, client = _connected()
    client.send_close(1000, "done")
    container.data_received(b"".join(client.data_to_send()))
    client.receive_data(wire.taken())
    assert client.close_rcvd is not None
    assert (client.close_rcvd.code, wire.closed) == (1000, True)

    asked, answer = EchoContainer(), _Wire()
    asked.connection_made(answer)
    asked.data_received(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.written.startswith(b"HTTP/1.1 200 ")
