"""Opening a stream with the real SDK: what goes wrong is told, soon, and in words."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.errors import ConnectionFailed, SettingsError, StreamError, UnusableValue

type Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
RST_STREAM = b"\0\0\x04\x03\0\0\0\0\x01" + b"\0\0\0\x07"
GOAWAY = b"\0\0\x08\x07\0\0\0\0\0" + b"\0\0\0\0" + b"\0\0\0\0"


@pytest.fixture(autouse=True)
def aws_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2",
        "AWS_DEFAULT_REGION",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@asynccontextmanager
async def server(
    authority: trustme.CA,
    behaviour: Behaviour,
    *,
    name: str = "localhost",
    alpn: tuple[str, ...] = ("h2",),
) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behaviour(reader, writer)
        finally:
            writer.transport.abort()

    # A client that doesn't trust the certificate keeps its half of the handshake open for long.
    listening = await asyncio.start_server(serve, "127.0.0.1", ssl=context)
    try:
        yield f"https://localhost:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


async def until_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)


def answering(*frames: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        for frame in frames:
            writer.write(frame)
            await writer.drain()
        await until_gone(reader, writer)

    return behave


async def opening(url: str | None, ca: Path | None = None) -> StreamError:
    """Open a stream that can't open, and give the error; more than 5 s is a failure."""
    with pytest.raises(StreamError) as told:
        async with asyncio.timeout(20), open_stream("voxtral", endpoint_url=url, ca=ca) as stream:
            await stream.opened()
    return told.value


async def test_nobody_listening_is_told_with_the_url() -> None:
    error = await opening("https://localhost:1")
    assert isinstance(error, ConnectionFailed)
    assert error.code == "AWS_IO_SOCKET_CONNECTION_REFUSED"
    assert "nothing listens at https://localhost:1: is `bidi serve` running" in error.advice


async def test_a_host_that_does_not_exist_is_told() -> None:
    error = await opening("https://no-such-host.invalid:8443")
    assert isinstance(error, ConnectionFailed)
    assert "doesn't resolve" in error.advice


async def test_an_untrusted_certificate_is_told_before_the_sdk_does(
    authority: trustme.CA, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    async with server(authority, until_gone) as url:
        error = await opening(url, stranger)
    assert isinstance(error, ConnectionFailed)
    assert "certificate isn't accepted" in str(error)
    assert str(stranger) in error.advice
    assert f'eval "$(bidi trust --port {url.rpartition(":")[2]})"' in error.advice


async def test_a_certificate_for_another_name_is_told(authority: trustme.CA, ca: Path) -> None:
    async with server(authority, until_gone, name="example.org") as url:
        error = await opening(url, ca)
    assert "Hostname mismatch" in str(error)
    assert "bidi serve --name localhost" in error.advice


@pytest.mark.parametrize("alpn", [("http/1.1",), ()])
async def test_a_server_without_http2_is_told(
    authority: trustme.CA, ca: Path, alpn: tuple[str, ...]
) -> None:
    async with server(authority, until_gone, alpn=alpn) as url:
        error = await opening(url, ca)
    assert isinstance(error, ConnectionFailed)
    assert "doesn't speak HTTP/2" in str(error)
    assert "ALPN" in error.advice


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (hang_up, "AWS_ERROR_HTTP_CONNECTION_CLOSED"),
        (answering(SETTINGS, RST_STREAM), "AWS_ERROR_HTTP_RST_STREAM_RECEIVED"),
        (answering(SETTINGS, GOAWAY), "AWS_ERROR_HTTP_GOAWAY_RECEIVED"),
    ],
)
async def test_a_stream_that_dies_before_its_headers_is_told_where_the_sdk_would_wait_for_ever(
    authority: trustme.CA, ca: Path, behaviour: Behaviour, code: str
) -> None:
    async with server(authority, behaviour) as url:
        error = await opening(url, ca)
    assert isinstance(error, ConnectionFailed)
    assert error.code == code


async def test_missing_credentials_are_told_where_the_sdk_would_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = await opening("https://localhost:1")
    assert isinstance(error, SettingsError)
    assert "no usable AWS credentials" in str(error)
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in error.advice


@pytest.mark.parametrize(
    ("missing", "there"),
    [
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ],
)
async def test_half_of_the_credentials_are_told_by_the_missing_half(
    monkeypatch: pytest.MonkeyPatch, missing: str, there: str
) -> None:
    monkeypatch.delenv(missing)
    error = await opening("https://localhost:1")
    assert f"{there} is set and {missing} isn't" in error.advice


async def test_a_missing_region_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    error = await opening("https://localhost:1")
    assert isinstance(error, SettingsError)
    assert "--region, or set AWS_REGION" in error.advice


async def test_a_profile_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    error = await opening("https://localhost:1")
    assert isinstance(error, SettingsError)
    assert "Profile 'nobody'" in str(error)


async def test_a_cert_file_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    error = await opening("https://localhost:1")
    assert "SSL_CERT_FILE is /nowhere/ca.pem, and there is no such file" in str(error)


async def test_a_ca_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("hello")
    assert "is there a PEM certificate in" in (await opening("https://localhost:1", path)).advice
    assert "no CA file" in str(await opening("https://localhost:1", tmp_path / "none.pem"))


async def test_plain_http_is_refused_at_once_with_the_reason() -> None:
    error = await opening("http://localhost:8443")
    assert isinstance(error, UnusableValue)
    assert "HTTP/1.1" in str(error)


async def test_plain_http_from_the_settings_is_refused_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    error = await opening(None)
    assert isinstance(error, UnusableValue)
    assert "AWS_ENDPOINT_URL" in str(error)
    assert "http://localhost:4566" in str(error)


@pytest.mark.parametrize("url", ["localhost:8443", "https://", "https://h:port", "https://[::1"])
async def test_what_is_no_url_is_refused(url: str) -> None:
    assert isinstance(await opening(url), UnusableValue)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a/b", "é", "a" * 64, "a\n"])
async def test_names_that_aws_refuses_are_refused_before_anything_is_sent(name: str) -> None:
    for endpoint, variant in ((name, None), ("x", name)):
        with pytest.raises(UnusableValue, match="letters and digits"):
            async with open_stream(
                endpoint, target_variant=variant, endpoint_url="https://localhost:1"
            ):
                pass


@pytest.mark.parametrize("name", ["a", "A--9", "a" * 63])
async def test_names_that_aws_takes_are_taken(name: str) -> None:
    async with open_stream(name, endpoint_url="https://localhost:1") as stream:
        with pytest.raises(ConnectionFailed):
            await stream.opened()


async def test_the_default_address_has_the_port_that_answers() -> None:
    async with open_stream("x", region="no-where-1") as stream:
        with pytest.raises(ConnectionFailed) as told:
            await stream.opened()
    assert "https://runtime.sagemaker.no-where-1.amazonaws.com:8443" in str(told.value)


async def test_one_region_has_no_port_in_its_address() -> None:
    async with open_stream("x", region="eu-isoe-west-1") as stream:
        with pytest.raises(ConnectionFailed) as told:
            await stream.opened()
    assert "https://runtime.sagemaker.eu-isoe-west-1.cloud.adc-e.uk" in str(told.value)
    assert ":8443" not in str(told.value)
