"""How a session opens, what is logged of it, and the bridge inside a process."""

import asyncio
import logging
import socket
from importlib import metadata
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus

from sagemaker_bidi_bridge import BridgeServer, CannotListen, Settings
from tests.bridge.peers import (
    DATA_PATH,
    LIMIT_SECONDS,
    Watcher,
    closed_with,
    echo,
    sagemaker,
    settings_for,
    vllm,
)


class TestOpening:
    async def test_another_path_is_refused_with_404_and_the_log_says_which_exist(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with vllm(echo) as url, BridgeServer(settings_for(url)) as bridge:
            with pytest.raises(InvalidStatus) as refused:
                async with sagemaker(bridge.url, "/v1/realtime"):
                    pass
        assert refused.value.response.status_code == 404
        assert f"a WebSocket on {DATA_PATH}, and GET /ping, /health and /version" in caplog.text

    async def test_the_query_string_is_not_forwarded(self) -> None:
        paths: list[str] = []

        async def note(connection: ServerConnection) -> None:
            assert connection.request is not None
            paths.append(connection.request.path)

        async with (
            vllm(note) as url,
            BridgeServer(settings_for(url)) as bridge,
            sagemaker(bridge.url, f"{DATA_PATH}?model=other&x=1") as client,
        ):
            await closed_with(client)
        assert paths == ["/v1/realtime"]

    async def test_a_session_beyond_the_cap_is_refused_until_another_ends(self) -> None:
        async with vllm(echo) as url, BridgeServer(settings_for(url, max_sessions=1)) as bridge:
            async with sagemaker(bridge.url):
                with pytest.raises(InvalidStatus) as refused:
                    async with sagemaker(bridge.url):
                        pass
                assert refused.value.response.status_code == 503
                assert b"BRIDGE_MAX_SESSIONS" in (refused.value.response.body or b"")
            await asyncio.wait_for(bridge.sessions.wait_idle(), LIMIT_SECONDS)
            async with sagemaker(bridge.url) as client:
                await client.send("again")
                assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == "again"

    async def test_sagemaker_leaving_before_the_accept_closes_vllm(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        asked, let_go = asyncio.Event(), asyncio.Event()
        over = asyncio.Event()

        async def hold(*_: Any) -> None:
            asked.set()
            await let_go.wait()

        async def wait(connection: ServerConnection) -> None:
            await connection.wait_closed()
            over.set()

        async with (
            vllm(wait, process_request=hold) as url,
            BridgeServer(settings_for(url)) as bridge,
        ):
            host, port = bridge.url.removeprefix("ws://").split(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                f"GET {DATA_PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            await asyncio.wait_for(asked.wait(), LIMIT_SECONDS)
            writer.close()
            await writer.wait_closed()
            # A round trip on another connection: the bridge has seen the FIN by then.
            async with httpx.AsyncClient() as http:
                await http.get(bridge.url.replace("ws", "http") + "/not-here")
            let_go.set()
            await asyncio.wait_for(over.wait(), LIMIT_SECONDS)
            await asyncio.wait_for(bridge.sessions.wait_idle(), LIMIT_SECONDS)
        assert "SageMaker left before the upgrade was accepted" in caplog.text


async def test_the_version_is_told_beside_ping_whatever_vllm_does() -> None:
    async with (
        BridgeServer(settings_for("ws://127.0.0.1:9/")) as bridge,
        httpx.AsyncClient() as http,
    ):
        answer = await http.get(bridge.url.replace("ws", "http") + "/version")
    version = metadata.version("sagemaker-bidi-bridge")
    assert answer.json() == {"name": "sagemaker-bidi-bridge", "version": version}


class TestLog:
    async def test_a_session_has_one_line_at_its_start_and_one_at_its_end(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "bridge")

        async def one_answer(connection: ServerConnection) -> None:
            await connection.recv()
            await connection.send("four")
            await connection.close(1000, "all said")

        headers = {"X-Amzn-SageMaker-Request-Id": "4c1-aa"}
        async with vllm(one_answer) as url, BridgeServer(settings_for(url)) as bridge:
            async with sagemaker(bridge.url, additional_headers=headers) as client:
                await client.send("audio")
                await closed_with(client)
            await asyncio.wait_for(bridge.sessions.wait_idle(), LIMIT_SECONDS)
        start, end = [r.getMessage() for r in caplog.records if r.name == "bridge.session"]
        assert start.startswith(f"session started id=4c1-aa path={DATA_PATH} peer=127.0.0.1:")
        assert end.startswith(f"session ended id=4c1-aa path={DATA_PATH} peer=127.0.0.1:")
        assert "messages_to_vllm=1 bytes_to_vllm=5" in end
        assert "messages_to_sagemaker=1 bytes_to_sagemaker=4" in end
        assert end.endswith(
            'ended_by=vllm vllm="received 1000 (all said)" sagemaker="sent 1000 (all said)"'
        )

    async def test_a_failed_session_is_logged_as_a_warning(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(connection: ServerConnection) -> None:
            await connection.close(1011, "engine died")

        async with vllm(fail) as url, BridgeServer(settings_for(url)) as bridge:
            async with sagemaker(bridge.url) as client:
                await closed_with(client)
            await asyncio.wait_for(bridge.sessions.wait_idle(), LIMIT_SECONDS)
        (record,) = [r for r in caplog.records if r.getMessage().startswith("session ended ")]
        assert record.levelno == logging.WARNING
        assert 'vllm="received 1011 (engine died)"' in record.getMessage()

    async def test_no_payload_is_logged_even_where_everything_logs_at_debug(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "websockets")  # the test's own two peers
        caplog.set_level(logging.DEBUG)
        async with vllm(echo) as url, BridgeServer(settings_for(url)) as bridge:
            async with sagemaker(bridge.url) as client:
                await client.send("a secret transcript")
                await asyncio.wait_for(client.recv(), LIMIT_SECONDS)
            await asyncio.wait_for(bridge.sessions.wait_idle(), LIMIT_SECONDS)
        assert "session ended" in caplog.text
        assert "secret" not in caplog.text


class TestInProcess:
    async def test_leaving_the_block_closes_sessions_with_1001_and_leaves_no_task(self) -> None:
        async with vllm(echo) as url:
            before = asyncio.all_tasks()
            async with BridgeServer(settings_for(url)) as bridge:
                client = await sagemaker(bridge.url)
                await client.send("hello")
                await client.recv()
            assert {
                task.get_coro().__qualname__  # type: ignore[union-attr]
                for task in asyncio.all_tasks() - before
            } <= {"Server._start_connection", "Connection.keepalive", "ServerConnection.handshake"}
            close = await closed_with(client)
        assert close is not None
        assert close.code == 1001

    async def test_a_port_that_is_taken_is_named(self) -> None:
        async with BridgeServer(settings_for("ws://127.0.0.1:9/")) as bridge:
            port = int(bridge.url.rsplit(":", 1)[1])
            with pytest.raises(CannotListen, match=rf"127\.0\.0\.1 port {port}.*BRIDGE_PORT"):
                async with BridgeServer(Settings(host="127.0.0.1", port=port)):
                    pass

    async def test_small_messages_are_not_held_back_by_nagle(self) -> None:
        async with (
            vllm(echo) as url,
            BridgeServer(settings_for(url)) as bridge,
            sagemaker(bridge.url),
        ):
            (connection,) = bridge.server.server_state.connections
            sock = connection.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    async def test_an_observer_that_fails_ends_its_session_with_1011(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(Watcher):
            def received(self, *_: Any) -> None:
                raise KeyError("x")

        async with (
            vllm(echo) as url,
            BridgeServer(settings_for(url), lambda session_id: Broken()) as bridge,
            sagemaker(bridge.url) as client,
        ):
            await client.send("hello")
            close = await closed_with(client)
        assert close is not None
        assert (close.code, close.reason) == (1011, "the bridge failed: KeyError")
