"""The eight defects of the reference bridge, none of which this one has."""

import asyncio
import json
import logging
import socket
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

from sagemaker_bidi_bridge import BridgeServer, Settings
from sagemaker_bidi_bridge.backend import open_backend
from tests.bridge.peers import (
    LIMIT_SECONDS,
    Watcher,
    closed_with,
    echo,
    raw_tcp,
    raw_vllm,
    reset,
    sagemaker,
    settings_for,
    vllm,
)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def refusal(url: str, **values: Any) -> Response:
    async with BridgeServer(settings_for(url, **values)) as bridge:
        with pytest.raises(InvalidStatus) as refused:
            async with sagemaker(bridge.url):
                pass
        response: Response = refused.value.response
        return response


async def read_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass


class TestDefect1AcceptsBeforeVllmIsReached:
    async def test_with_vllm_dead_the_upgrade_is_refused(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        response = await refusal(f"ws://127.0.0.1:{unused_port()}/v1/realtime")
        assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert "cannot be reached" in caplog.text

    async def test_with_vllm_silent_the_upgrade_is_refused_when_the_budget_is_spent(self) -> None:
        async with raw_tcp(read_for_ever) as port:
            response = await refusal(f"ws://127.0.0.1:{port}/v1/realtime", open_timeout_ms=50)
        assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert b"did not accept within 50 ms" in response.body

    async def test_the_default_budget_is_below_the_250_ms_that_sagemaker_waits(self) -> None:
        assert Settings().open_timeout_ms < 250

    async def test_sagemaker_is_accepted_only_after_vllm_has_accepted(self) -> None:
        asked, let_go = asyncio.Event(), asyncio.Event()

        async def hold(connection: ServerConnection, request: Request) -> None:
            asked.set()
            await let_go.wait()

        async with (
            vllm(echo, process_request=hold) as url,
            BridgeServer(settings_for(url)) as bridge,
        ):
            opening = asyncio.ensure_future(sagemaker(bridge.url).__aenter__())
            await asyncio.wait_for(asked.wait(), LIMIT_SECONDS)
            # Round trips through the bridge: an accept that did not wait would be here by now.
            async with httpx.AsyncClient() as http:
                for _ in range(3):
                    await http.get(bridge.url.replace("ws", "http") + "/not-here")
            assert not opening.done()
            let_go.set()
            client = await asyncio.wait_for(opening, LIMIT_SECONDS)
            await client.close()


class TestDefect2EveryFailureEndsWith1000:
    async def test_vllm_reset_in_mid_stream_is_a_1011_that_names_it(self) -> None:
        async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            reset(writer)

        await self._is_a_1011(die, "vLLM's connection was lost without a Close frame (reset)")

    async def test_vllm_ending_tcp_without_a_close_frame_is_a_1011(self) -> None:
        async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(8)  # all of the frame, so that the end is a FIN
            writer.write(b"\x81\x02hi")
            writer.close()

        await self._is_a_1011(leave, "vLLM's connection was lost without a Close frame (TCP ended)")

    @staticmethod
    async def _is_a_1011(handler: Any, reason: str) -> None:
        watcher = Watcher()
        async with (
            raw_vllm(handler) as url,
            BridgeServer(settings_for(url), watcher) as bridge,
            sagemaker(bridge.url) as client,
        ):
            await client.send("go")
            close = await closed_with(client)
            assert close is not None
            assert (close.code, close.reason) == (1011, reason)
            end = await watcher.end()
        assert (end.ended_by, end.failed, end.vllm.how) == ("vllm", True, "lost")


class TestDefect3CatchesAnExceptionThatIsNeverRaised:
    @pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
    async def test_a_refusal_by_vllm_is_a_logged_503_and_no_crash(
        self, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        def refuse(connection: ServerConnection, request: Request) -> Response:
            return connection.respond(HTTPStatus(status), "no\n")

        async with vllm(echo, process_request=refuse) as url:
            response = await refusal(url)
        assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert f"refused the upgrade with HTTP {status}" in caplog.text
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    @pytest.mark.parametrize(
        "answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
    )
    async def test_a_backend_that_is_no_websocket_is_a_logged_503_and_no_crash(
        self, answer: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        async with raw_tcp(speak) as port:
            response = await refusal(f"ws://127.0.0.1:{port}/v1/realtime")
        assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert "session refused" in caplog.text
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


class TestDefect4KeepsTheDefaultsOfWebsockets:
    async def test_a_busy_vllm_is_never_pinged(self) -> None:
        async with raw_vllm(read_for_ever) as url:
            connection = await open_backend(settings_for(url))
            assert connection.ping_interval is None
            assert connection.keepalive_task is None
            connection.transport.abort()
            await connection.wait_closed()

    async def test_sagemaker_is_never_pinged(self) -> None:
        async with BridgeServer(settings_for("ws://127.0.0.1:9/")) as bridge:
            assert bridge.server.config.ws_ping_interval is None

    async def test_pings_are_sent_to_vllm_where_a_setting_asks_for_them(self) -> None:
        async with (
            raw_vllm(read_for_ever) as url,
            BridgeServer(settings_for(url, backend_ping_seconds=0.05, close_seconds=0.1)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            close = await closed_with(client)
        assert close is not None
        assert (close.code, "keepalive ping timeout" in close.reason) == (1011, True)

    async def test_a_message_of_5_mb_passes_in_both_directions(self) -> None:
        message = "x" * 5_000_000
        async with (
            vllm(echo) as url,
            BridgeServer(settings_for(url)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            await client.send(message)
            assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == message

    async def test_compression_is_offered_to_neither_side(self) -> None:
        offered: list[str | None] = []

        async def note(connection: ServerConnection) -> None:
            assert connection.request is not None
            offered.append(connection.request.headers.get("Sec-WebSocket-Extensions"))

        async with (
            vllm(note) as url,
            BridgeServer(settings_for(url)) as bridge,
            sagemaker(bridge.url, compression="deflate") as client,
        ):
            assert client.response is not None
            assert "Sec-WebSocket-Extensions" not in client.response.headers
            await closed_with(client)
        assert offered == [None]


class TestDefect5TheFirstSideToFinishCancelsTheOther:
    async def test_what_vllm_sent_before_its_close_is_delivered_while_the_client_still_sends(
        self,
    ) -> None:
        # Twelve messages stay under the bridge's queue towards vLLM, so that the Close frame is
        # read, and are more than the socket buffers hold, so that the tail waits in the bridge.
        tail = [bytes([number]) * 2**20 for number in range(12)]
        closed = asyncio.Event()

        async def finish(connection: ServerConnection) -> None:
            for message in tail:
                await connection.send(message)
            await connection.close(1000, "done")
            closed.set()

        async with vllm(finish) as url, BridgeServer(settings_for(url)) as bridge:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.setblocking(False)
            host, port = bridge.url.removeprefix("ws://").split(":")
            await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
            async with sagemaker(bridge.url, sock=sock, max_queue=1) as client:
                await asyncio.wait_for(closed.wait(), LIMIT_SECONDS)
                await client.send("audio that comes after the end")
                received = [
                    await asyncio.wait_for(client.recv(), LIMIT_SECONDS) for _ in range(len(tail))
                ]
                close = await closed_with(client)
        assert received == tail
        assert close is not None
        assert (close.code, close.reason) == (1000, "done")

    async def test_what_the_client_sent_before_its_close_reaches_vllm(self) -> None:
        heard: list[str | bytes] = []
        over: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

        async def listen(connection: ServerConnection) -> None:
            heard.extend([message async for message in connection])
            over.set_result(connection.close_code)

        async with vllm(listen) as url, BridgeServer(settings_for(url)) as bridge:
            async with sagemaker(bridge.url) as client:
                for number in range(200):
                    await client.send(str(number))
            assert await asyncio.wait_for(over, LIMIT_SECONDS) == 1000
        assert heard == [str(number) for number in range(200)]


class TestDefect6PingWaitsLongerThanSageMaker:
    async def test_a_vllm_that_never_answers_makes_ping_a_503_when_the_budget_is_spent(
        self,
    ) -> None:
        async with raw_tcp(read_for_ever) as port:
            settings = settings_for(f"ws://127.0.0.1:{port}/v1/realtime", health_timeout_ms=50)
            async with BridgeServer(settings) as bridge, httpx.AsyncClient(timeout=2) as http:
                response = await http.get(bridge.url.replace("ws", "http") + "/ping")
        assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert "did not answer within 50 ms" in json.loads(response.text)["reason"]

    async def test_the_default_budget_is_below_the_2_s_that_sagemaker_waits(self) -> None:
        assert Settings().health_timeout_ms < 2_000

    async def test_each_ping_asks_vllm_again(self) -> None:
        answers = [b"200 OK", b"503 Service Unavailable", b"200 OK"]

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            assert request.startswith(b"GET /health HTTP/1.1\r\n")
            writer.write(b"HTTP/1.1 " + answers.pop(0) + b"\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        async with (
            raw_tcp(answer) as port,
            BridgeServer(settings_for(f"ws://127.0.0.1:{port}/v1/realtime")) as bridge,
            httpx.AsyncClient() as http,
        ):
            url = bridge.url.replace("ws", "http")
            assert (await http.get(url + "/ping")).status_code == 200
            unhealthy = await http.get(url + "/ping")
            assert (await http.get(url + "/health")).status_code == 200
        assert unhealthy.status_code == 503
        assert "answered HTTP 503" in unhealthy.json()["reason"]

    @pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"x" * 100_000])
    async def test_a_health_page_that_is_no_http_is_a_503(self, answer: bytes) -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        async with (
            raw_tcp(speak) as port,
            BridgeServer(settings_for(f"ws://127.0.0.1:{port}/v1/realtime")) as bridge,
            httpx.AsyncClient() as http,
        ):
            response = await http.get(bridge.url.replace("ws", "http") + "/ping")
        assert response.status_code == 503
        assert "did not answer with HTTP" in response.json()["reason"]

    async def test_a_dead_vllm_makes_ping_a_503(self) -> None:
        settings = settings_for(f"ws://127.0.0.1:{unused_port()}/v1/realtime")
        async with BridgeServer(settings) as bridge, httpx.AsyncClient() as http:
            response = await http.get(bridge.url.replace("ws", "http") + "/ping")
        assert response.status_code == 503
        assert "cannot be reached" in response.json()["reason"]


class TestDefect7DropsEmptyFrames:
    @pytest.mark.parametrize("message", ["", b""])
    async def test_an_empty_message_passes_in_both_directions_with_its_kind(
        self, message: str | bytes
    ) -> None:
        async with (
            vllm(echo) as url,
            BridgeServer(settings_for(url, strict_data_type=True)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            for _ in range(2):
                await client.send(message)
                assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == message
