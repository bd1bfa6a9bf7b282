"""What a client gets that is refused before the stream opens (O3-O8, W1, W2)."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.config import EndpointConfig
from sagemaker_bidi.contract.sigv4.credentials import Credentials
from sagemaker_bidi.endpoints.endpoints import Variant
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.misbehaving import (
    AcceptAfter,
    MisbehavingContainer,
    RefuseUpgrade,
)
from sagemaker_bidi_fixtures.containers.server import FrameServer
from tests.transport.lean_client import KEY, LeanClient, LeanStream
from tests.transport.world import world

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def reset(writer: asyncio.StreamWriter) -> None:
    """End a TCP connection with RST."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def refused(stream: LeanStream, status: int, errortype: str) -> dict[str, Any]:
    """Wait for a refusal, check its form, give its body."""
    body = await stream.finished()
    assert (stream.status, stream.headers["x-amzn-errortype"]) == (status, errortype)
    assert stream.headers["content-type"] == "application/json"
    assert UUID.fullmatch(stream.headers["x-amzn-requestid"])
    assert stream.ended
    parsed: dict[str, Any] = json.loads(body)
    return parsed


def log_of(caplog: pytest.LogCaptureFixture, stream: LeanStream) -> str:
    """The developer's line about a request."""
    request_id = stream.headers["x-amzn-requestid"]
    (line,) = [r.getMessage() for r in caplog.records if request_id in r.getMessage()]
    return line


@pytest.mark.clause("W2")
@pytest.mark.parametrize(
    ("header", "value", "member"),
    [
        ("X-Amzn-SageMaker-Model-Invocation-Path", "/v1/realtime", "modelInvocationPath"),
        ("X-Amzn-SageMaker-Model-Invocation-Path", "p" * 101, "modelInvocationPath"),
        ("X-Amzn-SageMaker-Model-Query-String", "?model=x", "modelQueryString"),
        ("X-Amzn-SageMaker-Model-Query-String", "model=a b", "modelQueryString"),
        ("X-Amzn-SageMaker-Model-Query-String", "k=" + "v" * 2047, "modelQueryString"),
        ("X-Amzn-SageMaker-Target-Variant", "-variant", "targetVariant"),
    ],
)
async def test_a_header_outside_its_pattern_or_length_is_400(
    header: str, value: str, member: str
) -> None:
    async with world() as w:
        stream = await w.client.open(headers={header: value})
        body = await refused(stream, 400, "InputValidationError")

        assert member in body["Message"]
        assert body["ErrorCode"] == "VALIDATION_ERROR"
        assert w.container.requests == ()


@pytest.mark.clause("O5")
async def test_an_unknown_endpoint_is_400_and_the_log_names_the_known_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world() as w:
        stream = await w.client.open("nope")
        body = await refused(stream, 400, "ValidationError")

        assert body == {"Message": "Endpoint nope of account 123456789012 not found."}
        assert "configured: echo" in log_of(caplog, stream)


@pytest.mark.clause("O8")
async def test_an_unknown_variant_is_400() -> None:
    async with world() as w:
        stream = await w.client.open(headers={"X-Amzn-SageMaker-Target-Variant": "green"})
        body = await refused(stream, 400, "ValidationError")

        assert body == {"Message": "Variant green is not found in endpoint echo."}


@pytest.mark.clause("O8")
async def test_traffic_goes_to_the_variant_that_the_client_names(echo: EchoContainer) -> None:
    variants = (
        Variant(name="blue", url="ws://127.0.0.1:9", weight=1.0),
        Variant(name="green", url=echo.url, weight=0.0),
    )
    config = Config(port=0, endpoints={"split": EndpointConfig(variants=variants)})
    async with (
        Emulator(config=config) as emulator,
        LeanClient(emulator.url, emulator.ca) as client,
    ):
        stream = await client.open("split", {"X-Amzn-SageMaker-Target-Variant": "green"})
        await stream.opened()

        assert stream.status == 200
        assert stream.headers["x-amzn-invoked-production-variant"] == "green"


@pytest.mark.clause("W1")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("GET", "/endpoints/echo/invocations-bidirectional-stream"),
        ("POST", "/endpoints/echo/invocations"),
        ("POST", "/endpoints/echo/extra/invocations-bidirectional-stream"),
    ],
)
async def test_another_operation_is_404(method: str, path: str) -> None:
    async with world() as w:
        stream = await w.client.open(method=method, path=path)
        await refused(stream, 404, "UnknownOperationException")


@pytest.mark.clause("W1")
async def test_another_content_type_is_415() -> None:
    async with world() as w:
        stream = await w.client.open(headers={"content-type": "application/json"})
        await refused(stream, 415, "UnsupportedMediaTypeException")


@pytest.mark.clause("O6")
async def test_a_request_without_a_signature_is_403() -> None:
    async with world() as w:
        stream = await w.client.open(key=None)
        body = await refused(stream, 403, "MissingAuthenticationTokenException")

        assert body["message"]
        assert w.container.requests == ()


@pytest.mark.clause("O6")
async def test_a_wrong_secret_is_403_and_the_log_holds_no_signature(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world() as w:
        stream = await w.client.open(key=(KEY[0], "wrong"))
        await refused(stream, 403, "InvalidSignatureException")

        line = log_of(caplog, stream)
        assert "O6" in line
        assert not re.search(r"[Ss]ignature=\S", line)


@pytest.mark.clause("O6")
async def test_an_unknown_key_is_403_where_unknown_keys_are_refused() -> None:
    async with world(unknown_keys="refuse") as w:
        stream = await w.client.open(key=("AKIAUNKNOWN", "secret"))
        await refused(stream, 403, "UnrecognizedClientException")


@pytest.mark.clause("O6")
async def test_an_unknown_key_is_taken_unless_configured_otherwise() -> None:
    async with world() as w:
        stream = await w.client.open(key=("AKIAUNKNOWN", "secret"))
        await stream.send(b"hello", "UTF8")

        back = await stream.receive()

        assert back is not None
        assert back.message.payload == b"hello"


@pytest.mark.clause("O6")
@pytest.mark.parametrize(
    ("table", "errortype"),
    [
        ({"may_invoke": False}, "AccessDeniedException"),
        ({"session_token": "token", "expires_at": 1.0}, "ExpiredTokenException"),
    ],
)
async def test_credentials_that_may_not_invoke_are_403(
    table: Mapping[str, Any], errortype: str
) -> None:
    known = Credentials(access_key_id="AKIAKNOWN", secret_access_key="s", **table)
    async with world(credentials=(known,)) as w:
        stream = await w.client.open(key=("AKIAKNOWN", "s"), token=table.get("session_token"))
        await refused(stream, 403, errortype)


def model_error(container: str = "primary") -> dict[str, Any]:
    original = "Failed to establish WebSocket connection"
    return {
        "Message": f'Received server error (424) from {container} with message "{original}".',
        "ErrorCode": "INTERNAL_FAILURE_FROM_MODEL",
        "OriginalStatusCode": 424,
        "OriginalMessage": original,
        "LogStreamArn": "",
    }


@pytest.mark.clause("O4")
async def test_no_container_is_424_and_the_log_says_that_nothing_listens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}"
        async with (
            Emulator({"echo": url}, config=Config(port=0, health="off")) as emulator,
            LeanClient(emulator.url, emulator.ca) as client,
        ):
            stream = await client.open()
            assert await refused(stream, 424, "ModelError") == model_error()

            assert f"nothing accepts connections at {url}" in log_of(caplog, stream)
            assert "start the container" in log_of(caplog, stream)


@pytest.mark.clause("O4")
@pytest.mark.parametrize("status", [400, 404, 500, 503, 200])
async def test_a_refused_upgrade_is_424_and_only_the_log_says_how_it_was_refused(
    caplog: pytest.LogCaptureFixture, status: int
) -> None:
    async with world(MisbehavingContainer(RefuseUpgrade(status))) as w:
        stream = await w.client.open()
        body = await refused(stream, 424, "ModelError")

        assert body == model_error()
        assert f"answered the upgrade with HTTP {status}" in log_of(caplog, stream)


@pytest.mark.clause("O3")
async def test_a_container_that_accepts_after_250_ms_is_too_late(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        MisbehavingContainer(AcceptAfter(60.0)) as container,
        Emulator({"echo": container.url}) as emulator,
        LeanClient(emulator.url, emulator.ca) as client,
    ):
        began = time.monotonic()
        stream = await client.open()
        body = await refused(stream, 424, "ModelError")
        took = time.monotonic() - began

        assert body == model_error()
        assert 0.25 <= took < 2.0
        assert "did not accept the WebSocket within 250 ms (O3)" in log_of(caplog, stream)


@pytest.mark.clause("O4")
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "ended the connection during the upgrade"),
        (b"HTTP/1.1 101 Swi", "ended the connection during the upgrade"),
        (None, "ended the connection during the upgrade"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "did not receive a valid HTTP response"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "invalid handshake"),
    ],
)
async def test_a_peer_that_speaks_no_websocket_is_424(
    caplog: pytest.LogCaptureFixture, answer: bytes | None, said: str
) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            reset(writer)
        else:
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with (
            Emulator({"echo": url}, config=Config(port=0, health="off")) as emulator,
            LeanClient(emulator.url, emulator.ca) as client,
        ):
            stream = await client.open()
            assert await refused(stream, 424, "ModelError") == model_error()

            assert said in log_of(caplog, stream)


@pytest.mark.clause("O4")
async def test_the_error_names_the_variants_container() -> None:
    variant = Variant(name="v", url="ws://127.0.0.1:9", container="second")
    config = Config(port=0, health="off", endpoints={"echo": EndpointConfig(variants=(variant,))})
    async with (
        Emulator(config=config) as emulator,
        LeanClient(emulator.url, emulator.ca) as client,
    ):
        stream = await client.open()

        assert await refused(stream, 424, "ModelError") == model_error("second")


@pytest.mark.clause("O4")
async def test_a_container_that_accepts_and_says_nothing_more_has_accepted() -> None:
    async def silent(connection: FrameSocket) -> None:
        await connection.receive()

    async with world(FrameServer(silent, port=0)) as w:
        stream = await (await w.client.open()).opened()

        assert stream.status == 200


async def test_a_client_that_sends_on_after_a_refusal_disturbs_nobody() -> None:
    async with world() as w:
        stream = await w.client.open("nope")
        await stream.opened()
        sibling = await w.client.open()
        # Raw frames: h2 would rightly refuse to send on a stream that is over.
        await stream.finished()
        frame = b"\x00\x40\x00\x00\x00" + stream.id.to_bytes(4) + bytes(16_384)
        for _ in range(200):  # more than a stream's window in all
            w.client.write(frame)
        await sibling.send(b"still here", "UTF8")

        back = await sibling.receive()

        assert back is not None
        assert back.message.payload == b"still here"
        assert not w.client.lost
