"""Who reaches the port the wrong way is told why, on both sides where it can be (W1)."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import ssl
from pathlib import Path

import certifi
import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi_client.tls import diagnose
from tests.transport.lean_client import LIMIT_SECONDS, LeanClient


def address(emulator: Emulator) -> tuple[str, int]:
    host, port = emulator.url.removeprefix("https://").split(":")
    return host, int(port)


async def answer_to(
    emulator: Emulator, data: bytes, context: ssl.SSLContext | None = None
) -> bytes:
    """Everything that the server says until it ends the connection."""
    reader, writer = await asyncio.open_connection(*address(emulator), ssl=context)
    try:
        writer.write(data)
        async with asyncio.timeout(LIMIT_SECONDS):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def http_message(answer: bytes) -> str:
    """The message in an HTTP/1.1 response with status 400."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 400 Bad Request"
    assert f"content-length: {len(body)}" in lines
    message: str = json.loads(body)["message"]
    return message


@pytest.mark.parametrize("protocols", [None, ["http/1.1"]])
async def test_http_1_over_tls_gets_a_readable_400(
    emulator: Emulator, protocols: list[str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.create_default_context(cafile=str(emulator.ca))
    if protocols:
        context.set_alpn_protocols(protocols)
    request = b"POST /endpoints/echo/invocations HTTP/1.1\r\nhost: localhost\r\n\r\n"
    message = http_message(await answer_to(emulator, request, context))

    assert "speaks HTTP/2 only" in message
    assert "CRT transport" in message
    assert "speaks HTTP/2 only" in caplog.text


async def test_a_client_of_http_1_that_says_nothing_is_not_waited_for_at_stop(
    emulator: Emulator,
) -> None:
    context = ssl.create_default_context(cafile=str(emulator.ca))
    _, writer = await asyncio.open_connection(*address(emulator), ssl=context)
    async with asyncio.timeout(3.0):
        await emulator.stop()
    writer.close()


async def test_plain_http_gets_a_readable_400_and_a_line_in_the_log(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection(*address(emulator))
    writer.write(b"GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with asyncio.timeout(LIMIT_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        answer = head + await reader.readuntil(b"}")
    writer.close()
    await writer.wait_closed()

    assert "use https://" in http_message(answer)
    assert "use https://" in caplog.text


async def test_noise_instead_of_tls_is_refused_and_disturbs_nobody(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    async with LeanClient(emulator.url, emulator.ca) as client:
        reader, writer = await asyncio.open_connection(*address(emulator))
        writer.write(b"\x00" * 100)
        async with asyncio.timeout(LIMIT_SECONDS):
            await reader.readuntil(b"}")
        writer.close()
        await writer.wait_closed()
        await client.ping()

    assert "did not begin with TLS" in caplog.text


async def test_a_client_that_does_not_trust_the_ca_makes_the_log_name_the_cure(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    def connect() -> None:
        with socket.create_connection(address(emulator)) as plain, plain.dup() as wrapped:
            ssl.create_default_context().wrap_socket(wrapped, server_hostname="localhost")

    # A blocking client sends an alert that names the reason.
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(connect)
    async with LeanClient(emulator.url, emulator.ca) as client:
        await client.ping()

    assert "a TLS handshake failed: the client does not trust" in caplog.text
    assert "bidi trust" in caplog.text


async def test_a_client_that_hangs_up_on_the_certificate_makes_the_log_name_the_cure(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    # asyncio's client sends no alert, nor does awscrt.
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(
            *address(emulator), ssl=ssl.create_default_context(), server_hostname="localhost"
        )
    async with LeanClient(emulator.url, emulator.ca) as client:
        await client.ping()
    # It is said when the connection's last reference goes: after a reset, at a collection.
    gc.collect()

    assert "a client went no further than the emulator's certificate" in caplog.text
    assert "bidi trust" in caplog.text


async def test_a_port_scan_is_not_worth_a_line_in_the_log(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection(*address(emulator))
    writer.close()
    await writer.wait_closed()
    async with LeanClient(emulator.url, emulator.ca) as client:
        await client.ping()

    assert caplog.text == ""


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "127.0.0.1",
        "host.docker.internal",
        "runtime.sagemaker.us-east-1.amazonaws.com",
        "runtime-fips.sagemaker.us-west-2.amazonaws.com",
        "emulator.test",
    ],
)
async def test_the_certificate_is_valid_for_the_names_that_clients_use(name: str) -> None:
    async with Emulator(config=Config(port=0, names=("emulator.test",))) as emulator:
        context = ssl.create_default_context(cafile=str(emulator.ca))
        context.set_alpn_protocols(["h2"])
        _, writer = await asyncio.open_connection(
            *address(emulator), ssl=context, server_hostname=name
        )
        tls = writer.get_extra_info("ssl_object")

        assert tls.selected_alpn_protocol() == "h2"
        assert tls.version() in ("TLSv1.2", "TLSv1.3")
        writer.close()
        await writer.wait_closed()


async def test_the_certificate_is_not_valid_for_other_names(emulator: Emulator) -> None:
    context = ssl.create_default_context(cafile=str(emulator.ca))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await asyncio.open_connection(
            *address(emulator), ssl=context, server_hostname="example.com"
        )


async def test_a_client_that_asks_for_another_name_is_told_apart_from_one_that_trusts_nobody(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.create_default_context(cafile=str(emulator.ca))

    def connect() -> None:
        with socket.create_connection(address(emulator)) as plain, plain.dup() as wrapped:
            context.wrap_socket(wrapped, server_hostname="models.internal")

    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(connect)
    async with LeanClient(emulator.url, emulator.ca) as client:
        await client.ping()

    assert "start it with bidi serve --name models.internal" in caplog.text
    assert "models.internal" not in "".join(
        line for line in caplog.text.splitlines() if "does not trust" in line
    )


@pytest.mark.linux  # All of 127.0.0.0/8 is this machine.
async def test_the_sdk_client_says_which_of_the_two_it_is() -> None:
    async with Emulator(config=Config(port=0, host="0.0.0.0")) as emulator:
        other = emulator.url.replace("127.0.0.1", "127.0.0.2")
        wrong_name = await diagnose(other, emulator.ca)
        untrusted = await diagnose(emulator.url, Path(certifi.where()))

    assert wrong_name is not None
    assert "for other names than '127.0.0.2'" in wrong_name.reason
    assert "bidi serve --name 127.0.0.2" in wrong_name.advice
    assert untrusted is not None
    assert "isn't accepted" in untrusted.reason
    assert f"bidi trust --port {emulator.url.rpartition(':')[2]}" in untrusted.advice


@pytest.mark.linux
async def test_a_name_that_is_added_is_in_the_certificate() -> None:
    config = Config(port=0, host="0.0.0.0", names=("127.0.0.2",), region="xx-new-7")
    async with Emulator(config=config) as emulator:
        assert await diagnose(emulator.url.replace("127.0.0.1", "127.0.0.2"), emulator.ca) is None
        context = ssl.create_default_context(cafile=str(emulator.ca))
        _, writer = await asyncio.open_connection(
            *address(emulator),
            ssl=context,
            server_hostname="runtime.sagemaker.xx-new-7.amazonaws.com",
        )
        writer.close()
