"""GET /ping over real sockets: what counts as which answer, and that none takes for ever."""

from __future__ import annotations

import asyncio
import socket

import h11
import pytest

from sagemaker_bidi.clock import RealClock
from sagemaker_bidi.contract.health import PingAnswer
from sagemaker_bidi.endpoints.ping import ping
from tests.driven import DrivenClock, RawContainer

pytestmark = pytest.mark.clause("K4")

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


async def answer_to(answer: bytes, *, closes: bool = True) -> PingAnswer:
    async with RawContainer(answer, closes=closes) as container:
        result = await ping(container.url, clock=RealClock(), seconds=10)
        await container.left.wait()
        return result


async def test_a_get_of_ping_is_sent_with_the_containers_address_as_host() -> None:
    async with RawContainer(OK) as container:
        await ping(container.url, clock=RealClock(), seconds=10)

        server = h11.Connection(h11.SERVER)
        server.receive_data(container.requests[0])
        request = server.next_event()
        assert isinstance(request, h11.Request)
        assert (request.method, request.target) == (b"GET", b"/ping")
        headers = dict(request.headers)
        assert headers[b"host"] == container.url.removeprefix("ws://").encode()
        assert headers[b"connection"] == b"close"
        assert isinstance(server.next_event(), h11.EndOfMessage)


@pytest.mark.parametrize("status", [200, 204, 301, 404, 500, 503])
async def test_the_status_is_the_answer(status: int) -> None:
    answer = b"HTTP/1.1 %d Whatever\r\ncontent-length: 0\r\n\r\n" % status

    assert await answer_to(answer) == PingAnswer(status, f"answered {status}")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\nhealthy",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
async def test_any_form_of_http_is_read(answer: bytes) -> None:
    assert (await answer_to(answer)).status == 200


async def test_a_container_that_keeps_the_connection_open_is_not_waited_for() -> None:
    assert (await answer_to(OK, closes=False)).status == 200


async def test_a_container_that_does_not_answer_is_left_after_the_time_given(
    clock: DrivenClock,
) -> None:
    async with RawContainer(None) as container:
        asking = asyncio.create_task(ping(container.url, clock=clock, seconds=2.0))
        await container.asked.wait()
        await clock.wait_for_sleeper(2.0)
        await clock.advance(1.99)
        assert not asking.done()

        await clock.advance(0.01)
        assert await asking == PingAnswer(None, "did not answer within 2 s")
        await container.left.wait()


async def test_a_head_that_never_ends_is_left_after_the_time_given(clock: DrivenClock) -> None:
    async with RawContainer(b"HTTP/1.1 200 OK\r\ncontent-le", closes=False) as container:
        asking = asyncio.create_task(ping(container.url, clock=clock, seconds=0.5))
        await container.asked.wait()
        await clock.wait_for_sleeper(0.5)
        await clock.advance(0.5)

        assert await asking == PingAnswer(None, "did not answer within 0.5 s")


async def test_a_check_that_is_called_off_leaves_the_container(clock: DrivenClock) -> None:
    async with RawContainer(None) as container:
        asking = asyncio.create_task(ping(container.url, clock=clock, seconds=2.0))
        await container.asked.wait()
        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking
        await container.left.wait()


async def test_a_port_where_nobody_listens_is_no_answer() -> None:
    async with RawContainer(OK) as container:
        url = container.url
    answer = await ping(url, clock=RealClock(), seconds=10)

    assert answer.status is None
    assert answer.what.startswith("could not be reached (")
    assert url.rpartition(":")[2] in answer.what


async def test_a_container_that_resets_the_connection_is_no_answer() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answer = await ping(f"ws://127.0.0.1:{port}", clock=RealClock(), seconds=10)

    assert answer == PingAnswer(None, "could not be reached (Connection reset by peer)")


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
async def test_a_host_that_cannot_be_a_name_is_no_answer_and_said_so(host: str) -> None:
    answer = await ping(f"ws://{host}:8080", clock=RealClock(), seconds=10)

    assert answer.status is None
    assert f"'{host}' is no host name" in answer.what


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
async def test_a_connection_closed_before_the_answer_is_whole_is_no_answer(answer: bytes) -> None:
    assert await answer_to(answer) == PingAnswer(
        None, "did not answer in HTTP (it closed the connection)"
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x00\xff\x16\x03\x01\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_no_answer(answer: bytes) -> None:
    result = await answer_to(answer)

    assert result.status is None
    assert result.what.startswith("did not answer in HTTP (")


@pytest.mark.parametrize("answer", [b"A" * 15_000 + b"\r\n\r\n", b"A" * 1_000_000])
async def test_endless_garbage_makes_no_endless_words(answer: bytes) -> None:
    result = await answer_to(answer)

    assert result.status is None
    assert len(result.what) < 300


async def test_a_container_at_an_ipv6_address_is_asked() -> None:
    async with RawContainer(OK, host="::1") as container:
        answer = await ping(container.url, clock=RealClock(), seconds=10)

        assert answer.status == 200
        assert b"host: [::1]:" in container.requests[0].lower()
