"""The wrapper around the SDK's stream, against a fake of the SDK."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from aws_sdk_sagemaker_runtime_http2.models import InternalStreamFailure, ModelStreamError
from awscrt.exceptions import AwsCrtError
from smithy_aws_event_stream.exceptions import ChecksumMismatch, UnmodeledEventError
from smithy_core.exceptions import SmithyError

from sagemaker_bidi_client.errors import ConnectionFailed, RequestRefused, StreamBroken, StreamEnded
from sagemaker_bidi_client.history import History
from sagemaker_bidi_client.sdk import HttpRefusal
from sagemaker_bidi_client.stream import Opening, Part, Stream
from tests.client.fakes import FakeDuplex, part

URL = "https://localhost:8443"


class FakeTransport:
    """What the stream asks its transport."""

    ca = None
    connected = True

    def __init__(self) -> None:
        self.refusal: HttpRefusal | None = None
        self.error: BaseException | None = None

    def broken(self) -> BaseException | None:
        return self.error

    async def finish_writing(self, seconds: float) -> None: ...


@pytest.fixture
async def duplex() -> FakeDuplex:
    return FakeDuplex()


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
async def stream(duplex: FakeDuplex, transport: FakeTransport) -> AsyncIterator[Stream]:
    made = Stream(duplex, url=URL, history=History(), transport=transport)  # type: ignore[arg-type]
    yield made
    await made.close(grace=0.01)


async def test_the_headers_tell_variant_and_request_id(stream: Stream, duplex: FakeDuplex) -> None:
    duplex.open_up("Blue", "req-9")
    assert await stream.opened() == Opening("Blue", "req-9")


async def test_text_is_sent_as_one_complete_utf8_part(stream: Stream, duplex: FakeDuplex) -> None:
    await stream.send_text("5€")
    [sent] = duplex.input_stream.sent
    assert sent.bytes_ == "5€".encode()
    assert (sent.data_type, sent.completion_state) == ("UTF8", "COMPLETE")
    assert (stream.history.sent, stream.history.sent_bytes) == (1, 4)


async def test_parts_arrive_in_order_and_then_the_end(stream: Stream, duplex: FakeDuplex) -> None:
    duplex.open_up()
    duplex.output.feed(part(b"a"), part(b"\xff", "PARTIAL", "BINARY"), part(b"", None, None), None)
    assert await stream.receive() == Part(b"a", "UTF8")
    assert await stream.receive() == Part(b"\xff", "BINARY", complete=False)
    assert await stream.receive() == Part(b"", None)
    assert await stream.receive() is None
    assert await stream.receive() is None


async def test_partial_parts_are_joined_to_messages(stream: Stream, duplex: FakeDuplex) -> None:
    duplex.open_up()
    duplex.output.feed(part(b"on", "PARTIAL"), part(b"e"), part(b"two"), None)
    assert [await stream.receive_message() for _ in range(3)] == [b"one", b"two", None]


async def test_a_message_that_is_cut_off_is_an_error(stream: Stream, duplex: FakeDuplex) -> None:
    duplex.open_up()
    duplex.output.feed(part(b"on", "PARTIAL"), None)
    with pytest.raises(StreamBroken, match="in the middle of a message"):
        await stream.receive_message()


async def test_giving_up_on_a_receive_loses_nothing_and_never_cancels_the_sdks(
    stream: Stream, duplex: FakeDuplex
) -> None:
    duplex.open_up()
    await stream.opened()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.receive(), 0.001)
    assert duplex.output.cancelled == 0
    duplex.output.feed(part(b"late"))
    assert await stream.receive() == Part(b"late", "UTF8")


async def test_giving_up_on_a_send_sends_all_the_same_for_the_signatures_are_a_chain(
    stream: Stream, duplex: FakeDuplex
) -> None:
    duplex.input_stream.gate.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.send_text("one"), 0.001)
    duplex.input_stream.gate.set()
    await stream.send_text("two")
    assert [sent.bytes_ for sent in duplex.input_stream.sent] == [b"one", b"two"]
    assert duplex.input_stream.cancelled == 0


async def test_sends_at_the_same_time_keep_their_order(stream: Stream, duplex: FakeDuplex) -> None:
    await asyncio.gather(*(stream.send_text(str(number)) for number in range(50)))
    assert [int(sent.bytes_) for sent in duplex.input_stream.sent] == list(range(50))


async def test_a_send_that_the_dead_stream_would_hold_for_ever_raises_what_killed_it(
    stream: Stream, duplex: FakeDuplex
) -> None:
    duplex.open_up()
    duplex.input_stream.gate.clear()
    sending = asyncio.create_task(stream.send_text("x"))
    await asyncio.sleep(0)
    duplex.output.feed(ModelStreamError(message="gone", error_code="StreamBroken"))
    with pytest.raises(StreamBroken, match="ModelStreamError StreamBroken: gone"):
        await sending


async def test_after_a_clean_end_nothing_more_can_be_sent(
    stream: Stream, duplex: FakeDuplex
) -> None:
    duplex.open_up()
    duplex.output.feed(None)
    assert await stream.receive() is None
    with pytest.raises(StreamEnded, match="has ended"):
        await stream.send_text("x")


@pytest.mark.parametrize(
    ("error", "says", "code"),
    [
        (
            ModelStreamError(message="closed 1011", error_code="StreamBroken"),
            "ModelStreamError StreamBroken: closed 1011",
            "StreamBroken",
        ),
        (ModelStreamError(message="x"), "ModelStreamError: x", None),
        (InternalStreamFailure(message="oops"), "SageMaker's side", "InternalStreamFailure"),
        (UnmodeledEventError("Odd", "news"), "Odd: news", "Odd"),
        (ChecksumMismatch(1, 2), "no event: Checksum mismatch", "ChecksumMismatch"),
        (KeyError("Novelty"), "this SDK doesn't know: 'Novelty'", None),
        (OSError("Failed to read from stream."), "OSError: Failed to read", None),
    ],
)
async def test_an_error_in_the_stream_is_put_into_words_and_stays(
    stream: Stream, duplex: FakeDuplex, error: Exception, says: str, code: str | None
) -> None:
    duplex.open_up()
    await stream.opened()
    await stream.send_text("hello")
    duplex.output.feed(part(b"1"), part(b"2"), error)
    assert await stream.receive() == Part(b"1", "UTF8")
    assert await stream.receive() == Part(b"2", "UTF8")
    for _ in range(2):
        with pytest.raises(StreamBroken) as told:
            await stream.receive()
        assert says in str(told.value)
        assert told.value.code == code
        assert told.value.request_id == "req-1"
        assert "response 200; 1 part sent and 2 parts received" in str(told.value)
        assert "hello" not in str(told.value)


async def test_a_reset_that_the_sdk_reads_as_the_end_is_an_error(
    stream: Stream, duplex: FakeDuplex, transport: FakeTransport
) -> None:
    duplex.open_up()
    transport.error = AwsCrtError(1, "AWS_ERROR_HTTP_RST_STREAM_RECEIVED", "reset")
    duplex.output.feed(None)
    with pytest.raises(StreamBroken, match="RST_STREAM") as told:
        await stream.receive()
    assert "open a new one" in told.value.advice


async def test_an_unknown_event_is_noted_and_passed_over(
    stream: Stream, duplex: FakeDuplex
) -> None:
    duplex.open_up()
    duplex.output.feed(SimpleNamespace(tag="Novelty"), part(b"a"))
    assert await stream.receive() == Part(b"a", "UTF8")
    assert "event Novelty" in str(stream.history)


REFUSALS = [
    (
        HttpRefusal(
            424,
            {"x-amzn-errortype": "ModelError:http://x", "x-amzn-requestid": "r-7"},
            b'{"Message":"no WebSocket","ErrorCode":"INTERNAL_FAILURE_FROM_MODEL"}',
        ),
        "HTTP 424 ModelError (INTERNAL_FAILURE_FROM_MODEL): no WebSocket",
        "GET /ping",
    ),
    (
        HttpRefusal(
            400, {"x-amzn-errortype": "ValidationError"}, b'{"message":"Endpoint x not found"}'
        ),
        "HTTP 400 ValidationError: Endpoint x not found",
        "--endpoint-name",
    ),
    (
        HttpRefusal(400, {}, b'{"__type":"com.amazon#ThrottlingException","message":"slow"}'),
        "HTTP 400 ThrottlingException: slow",
        "growing pauses",
    ),
    (
        HttpRefusal(403, {"x-amzn-errortype": "UnrecognizedClientException"}, b"{}"),
        "HTTP 403 UnrecognizedClientException: no message",
        "use an access key that is known there",
    ),
    (
        HttpRefusal(403, {"x-amzn-errortype": "InvalidSignatureException"}, b"[]"),
        "InvalidSignatureException",
        "clock",
    ),
    (
        HttpRefusal(403, {"x-amzn-errortype": "ExpiredTokenException"}, b""),
        "ExpiredTokenException",
        "new temporary credentials",
    ),
    (
        HttpRefusal(403, {"x-amzn-errortype": "AccessDeniedException"}, b"{}"),
        "AccessDeniedException",
        "sagemaker:InvokeEndpointWithBidirectionalStream",
    ),
    (HttpRefusal(403, {}, b"<html>"), "HTTP 403 with no error type", "check the credentials"),
    (HttpRefusal(404, {}, b"<html>"), "HTTP 404 with no error type", "8443"),
    (
        HttpRefusal(503, {"x-amzn-errortype": "ServiceUnavailableError"}, b'{"Message":"later"}'),
        "HTTP 503 ServiceUnavailableError: later",
        "try again",
    ),
]


@pytest.mark.parametrize(("refusal", "says", "advice"), REFUSALS)
async def test_a_refusal_tells_the_services_words_and_what_to_do(
    stream: Stream,
    duplex: FakeDuplex,
    transport: FakeTransport,
    refusal: HttpRefusal,
    says: str,
    advice: str,
) -> None:
    await stream.send_text("x")
    transport.refusal = refusal
    duplex.refuse(SmithyError("Unknown error for operation"))
    for call in (stream.opened(), stream.receive(), stream.send_text("y")):
        with pytest.raises(RequestRefused) as told:
            await call
        assert says in str(told.value)
        assert advice in told.value.advice
        assert told.value.status == refusal.status
        assert f"1 part sent; response {refusal.status}" in told.value.seen


async def test_credentials_in_an_error_are_named_and_never_shown(
    stream: Stream,
    duplex: FakeDuplex,
    transport: FakeTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASECRET")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "verysecret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "tokensecret")
    transport.refusal = HttpRefusal(403, {"x-amzn-errortype": "ExpiredTokenException"}, b"{}")
    duplex.refuse(SmithyError("x"))
    with pytest.raises(RequestRefused, match="AWS_SESSION_TOKEN is set") as told:
        await stream.opened()
    assert "secret" not in str(told.value).lower().replace("aws_secret_access_key", "")


@pytest.mark.parametrize(
    ("environment", "advice"),
    [
        ({"AWS_SESSION_TOKEN": "left-over"}, "unset AWS_SESSION_TOKEN"),
        ({"AWS_SESSION_TOKEN": ""}, "unset AWS_SESSION_TOKEN"),
        ({"AWS_ACCESS_KEY_ID": "ASIATEMPORARY"}, "set AWS_SESSION_TOKEN too"),
        ({}, "use an access key that is known there"),
    ],
)
async def test_the_advice_for_an_unknown_key_is_about_what_is_set(
    stream: Stream,
    duplex: FakeDuplex,
    transport: FakeTransport,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    advice: str,
) -> None:
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIALONGTERM",
        "AWS_SECRET_ACCESS_KEY": "s",
        **environment,
    }.items():
        monkeypatch.setenv(name, value)
    transport.refusal = HttpRefusal(403, {"x-amzn-errortype": "UnrecognizedClientException"}, b"{}")
    duplex.refuse(SmithyError("x"))

    with pytest.raises(RequestRefused) as told:
        await stream.opened()

    assert told.value.advice.startswith(advice)


async def test_a_network_error_before_the_headers_is_put_into_words(
    stream: Stream, duplex: FakeDuplex
) -> None:
    cause = AwsCrtError(1, "AWS_IO_SOCKET_CONNECTION_REFUSED", "refused")
    error = SmithyError(cause)
    error.__cause__ = cause
    duplex.refuse(error)
    with pytest.raises(ConnectionFailed, match="nothing listens at https://localhost:8443"):
        await stream.opened()


async def test_closing_ends_the_input_and_waits_for_the_service(duplex: FakeDuplex) -> None:
    closed: list[bool] = []

    async def on_close() -> None:
        closed.append(duplex.input_stream.closed.is_set())

    stream = Stream(duplex, url=URL, history=History(), on_close=on_close)
    duplex.open_up()
    await stream.opened()
    closing = asyncio.create_task(stream.close(grace=60))
    await duplex.input_stream.closed.wait()
    assert not closed
    duplex.output.feed(part(b"late"), None)
    await closing
    await stream.close()
    assert closed == [True]
    assert duplex.output.cancelled == 0


async def test_closing_a_stream_that_never_opened_does_not_wait(duplex: FakeDuplex) -> None:
    stream = Stream(duplex, url=URL, history=History())
    duplex.input_stream.gate.clear()
    sending = asyncio.create_task(stream.send_text("x"))
    async with asyncio.timeout(20):
        await stream.close(grace=60)
    with pytest.raises((StreamEnded, asyncio.CancelledError)):
        await sending


async def test_a_reader_that_falls_behind_slows_the_sdk_in_place_of_filling_memory(
    stream: Stream, duplex: FakeDuplex
) -> None:
    duplex.open_up()
    duplex.output.feed(*(part(b"x") for _ in range(1000)))
    for _ in range(2000):
        await asyncio.sleep(0)
    assert stream.history.received == 257


async def test_no_task_is_left_after_closing(duplex: FakeDuplex) -> None:
    before = asyncio.all_tasks()
    stream = Stream(duplex, url=URL, history=History())
    duplex.open_up()
    await stream.send_text("x")
    await stream.close(grace=0.01)
    assert asyncio.all_tasks() == before
