"""The bridge's port: what is too long, too slow or too much is answered, and shuts out nobody."""

import asyncio
import errno
import logging
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import ServerConnection

from sagemaker_bidi_bridge import BridgeServer, gate
from sagemaker_bidi_bridge.descriptors import capacity
from sagemaker_bidi_bridge.server import AcceptLog
from sagemaker_bidi_bridge.sessions import register_of
from tests.bridge.peers import (
    DATA_PATH,
    LIMIT_SECONDS,
    closed_with,
    echo,
    sagemaker,
    settings_for,
    vllm,
)
from tests.bridge.test_process import serving

UPGRADE = (
    "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def upgrade(query: str = "", headers: str = "") -> str:
    return f"GET {DATA_PATH}{query} HTTP/1.1\r\n{UPGRADE}{headers}\r\n"


@asynccontextmanager
async def raw(bridge: BridgeServer) -> AsyncIterator[tuple[Any, asyncio.StreamWriter]]:
    host, port = bridge.url.removeprefix("ws://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer_to(bridge: BridgeServer, request: str) -> str:
    async with raw(bridge) as (reader, writer):
        writer.write(request.encode())
        answer: bytes = await asyncio.wait_for(reader.read(), LIMIT_SECONDS)
        return answer.decode()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (upgrade(query="?a=" + "x" * 9_000), 414),
        (upgrade(query="?a=" + "x" * 90_000), 414),
        (upgrade(headers="X-Long: " + "x" * 9_000 + "\r\n"), 431),
        (upgrade(headers="X-Long: " + "x" * 90_000 + "\r\n"), 431),
        (upgrade(headers="X-Many: x\r\n" * 130), 431),
        ("nonsense\r\n\r\n", 400),
        (upgrade(headers="Bad Name: x\r\n"), 400),
    ],
    ids=["query", "long-query", "header", "long-header", "headers", "nonsense", "bad-name"],
)
async def test_an_upgrade_that_cannot_be_read_gets_a_status_and_a_line(
    request_head: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with BridgeServer(settings_for("ws://127.0.0.1:9/")) as bridge:
        answer = await answer_to(bridge, request_head)
    assert answer.startswith(f"HTTP/1.1 {status} ")
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith("request refused peer=127.0.0.1:")
    assert f"status={status}" in line


async def test_what_the_sockets_parser_takes_at_most_is_let_through() -> None:
    headers = "X-Long: " + "x" * (8_190 - len("X-Long: ")) + "\r\n" + "X-Many: x\r\n" * 122
    async with (
        vllm(echo) as url,
        BridgeServer(settings_for(url)) as bridge,
        raw(bridge) as (reader, writer),
    ):
        writer.write(upgrade(headers=headers).encode())
        status = await asyncio.wait_for(reader.readline(), LIMIT_SECONDS)
    assert status.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(("sent", "status"), [("GET /pi", b"HTTP/1.1 408 "), ("", b"")])
async def test_a_peer_that_does_not_ask_in_time_is_let_go(
    sent: str, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gate.HANDSHAKE_SECONDS == 5
    monkeypatch.setattr(gate, "HANDSHAKE_SECONDS", 0.05)
    async with (
        BridgeServer(settings_for("ws://127.0.0.1:9/")) as bridge,
        raw(bridge) as (reader, writer),
    ):
        writer.write(sent.encode())
        answer = b""
        with suppress(ConnectionResetError):
            answer = await asyncio.wait_for(reader.readline(), LIMIT_SECONDS)
    assert answer.startswith(status)
    assert bool(answer) is bool(status)


async def test_a_session_outlives_the_time_for_its_handshake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "HANDSHAKE_SECONDS", 0.05)
    async with (
        vllm(echo) as url,
        BridgeServer(settings_for(url)) as bridge,
        sagemaker(bridge.url) as client,
        raw(bridge) as (reader, _),
    ):
        with suppress(ConnectionResetError):
            await reader.read()  # one that came later has been let go
        await client.send("still here")
        assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == "still here"


async def test_connections_that_ask_nothing_shut_out_neither_ping_nor_a_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with vllm(echo) as url, BridgeServer(settings_for(url)) as bridge:
        room = bridge.server.server_state
        assert isinstance(room, gate.Room)
        room.limit = 4
        idle = [raw(bridge) for _ in range(12)]
        for each in idle:
            await each.__aenter__()
        async with sagemaker(bridge.url) as client:
            await client.send("hello")
            assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == "hello"
        assert len(room.connections) <= 4
        for each in idle:
            await each.__aexit__(None, None, None)
    dropped = [each for each in caplog.messages if each.startswith("connections dropped")]
    assert len(dropped) == 1


async def test_the_peer_is_the_one_that_connects_whatever_a_header_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "bridge")
    headers = {"X-Forwarded-For": "203.0.113.9"}
    async with (
        vllm(echo) as url,
        BridgeServer(settings_for(url)) as bridge,
        sagemaker(bridge.url, additional_headers=headers),
    ):
        pass
    assert "peer=127.0.0.1:" in caplog.text
    assert "203.0.113.9" not in caplog.text


async def test_a_client_that_hides_its_address_and_does_not_read_is_cut_all_the_same() -> None:
    async def flood(connection: ServerConnection) -> None:
        with suppress(Exception):
            while True:
                await connection.send(b"x" * 65_536)

    headers = {"X-Forwarded-For": "203.0.113.9"}
    settings = {"stall_seconds": 0.1, "close_seconds": 0.1}
    async with (
        vllm(flood) as url,
        BridgeServer(settings_for(url, **settings)) as bridge,
        sagemaker(bridge.url, max_queue=1, close_timeout=0, additional_headers=headers),
    ):
        await asyncio.wait_for(bridge.sessions.wait_idle(), LIMIT_SECONDS)
        assert not bridge.server.server_state.connections


class TestDescriptors:
    @pytest.mark.parametrize("limit", [64, 128, 256, 1_024, 65_536])
    def test_what_may_be_open_at_once_is_less_than_the_limit(self, limit: int) -> None:
        fit = capacity(limit)
        assert fit.sessions + fit.connections + fit.backlog < limit
        assert fit.connections >= fit.sessions + 4  # health checks, beside all sessions
        assert fit.backlog <= 128

    def test_a_limit_of_sessions_that_does_not_fit_is_lowered_and_the_refusal_says_why(
        self,
    ) -> None:
        fit = capacity(128)
        sessions = register_of(settings_for("ws://x", max_sessions=1_000), fit)
        assert sessions.limit == fit.sessions
        assert sessions.limit_set_by == "the limit of 128 open files (ulimit -n)"
        assert register_of(settings_for("ws://x", max_sessions=2), fit).limit == 2

    async def test_half_open_connections_at_a_low_limit_leave_ping_and_the_log_alone(self) -> None:
        def health(connection: ServerConnection, request: Any) -> Any:
            return connection.respond(200, "") if request.path == "/health" else None

        async with (
            vllm(echo, process_request=health) as url,
            serving(url, limit_of_open_files=128, BRIDGE_HEALTH_TIMEOUT_MS="10000") as bridge,
            httpx.AsyncClient(trust_env=False, timeout=LIMIT_SECONDS) as http,
        ):
            host, port = bridge.url.removeprefix("ws://").split(":")
            half_open = []
            for _ in range(200):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(b"GET / HTTP/1.1\r\n")
                half_open.append(writer)
            answer = await http.get(f"http://{host}:{port}/ping")
            async with sagemaker(bridge.url) as client:
                await client.close()
                await closed_with(client)
            bridge.process.terminate()
            assert await bridge.exit_code() == 0
            for writer in half_open:
                writer.transport.abort()
        assert (answer.status_code, answer.json()["status"]) == (200, "healthy")
        lines = "".join(bridge.lines).splitlines()
        assert len(lines) < 50
        assert not [each for each in lines if "level=ERROR" in each]

    async def test_what_cannot_be_accepted_is_said_once_and_other_failures_each_time(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        loop, log = asyncio.get_running_loop(), AcceptLog()
        error = OSError(errno.EMFILE, "Too many open files")
        for _ in range(128):
            log(loop, {"message": "socket.accept() out of system resource", "exception": error})
        for _ in range(2):
            log(loop, {"message": "a task has failed"})
        assert [each.split(" ")[0] for each in caplog.messages] == ["cannot", "a", "a"]
        assert "Too many open files" in caplog.messages[0]

    def test_the_soft_limit_is_raised_to_the_hard_one(self) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = 4_096 if hard == resource.RLIM_INFINITY else min(hard, 4_096)
        program = (
            "import resource, sys\n"
            f"resource.setrlimit(resource.RLIMIT_NOFILE, ({most // 2}, {most}))\n"
            "from sagemaker_bidi_bridge.descriptors import limit_of_open_files as limit\n"
            "print(limit(raise_it=False), limit(raise_it=True))\n"
            "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
        )
        found = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            timeout=LIMIT_SECONDS,
            check=True,
        )
        assert found.stdout.split() == [str(most // 2), str(most), str(most)]
