"""How the end of one side of the bridge reaches the other."""

import asyncio
import json
import socket
import struct
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from sagemaker_bidi_bridge import BridgeServer
from tests.bridge.peers import (
    LIMIT_SECONDS,
    Watcher,
    closed_with,
    raw_vllm,
    sagemaker,
    send_all,
    settings_for,
    vllm,
)


class TestVllmEnds:
    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            (1000, "OK"),
            (1001, "going away"),
            (1008, "policy"),
            (1009, "too big"),
            (1011, "keepalive ping timeout"),
            (1012, ""),
            (1013, "später"),
            (3000, "x" * 123),
            (4999, "own"),
        ],
    )
    async def test_its_code_and_reason_are_passed_on(self, code: int, reason: str) -> None:
        async def close(connection: ServerConnection) -> None:
            await connection.close(code, reason)

        watcher = Watcher()
        async with (
            vllm(close) as url,
            BridgeServer(settings_for(url), watcher) as bridge,
            sagemaker(bridge.url) as client,
        ):
            seen = await closed_with(client)
            end = await watcher.end()
        assert seen is not None
        assert (seen.code, seen.reason) == (code, reason)
        assert (end.ended_by, end.vllm.how, end.vllm.code) == ("vllm", "received", code)
        assert (end.sagemaker.how, end.sagemaker.code) == ("sent", code)
        assert end.failed is (code != 1000)

    async def test_a_close_frame_without_a_code_becomes_1011(self) -> None:
        async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\x88\x00")
            await reader.read(64)
            writer.close()

        assert await self._close_seen(close) == (1011, "vLLM closed without a status code")

    async def test_a_close_frame_that_leaves_tcp_open_still_ends_the_session(self) -> None:
        async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\x82\x01x\x88\x02\x03\xe8")

        assert await self._close_seen(close, close_seconds=0.1) == (1000, "")

    async def test_a_broken_frame_becomes_1011(self) -> None:
        async def break_it(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\xff\xff")
            await reader.read(64)
            writer.close()

        code, reason = await self._close_seen(break_it)
        assert code == 1011
        assert reason.startswith("the bridge closed vLLM's connection with 1002")

    async def test_bad_utf_8_becomes_1011(self) -> None:
        async def break_it(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\x81\x02\xff\xff")
            await reader.read(64)
            writer.close()

        code, reason = await self._close_seen(break_it)
        assert code == 1011
        assert reason.startswith("the bridge closed vLLM's connection with 1007")

    @staticmethod
    async def _close_seen(handler: Any, **values: Any) -> tuple[int, str]:
        async with (
            raw_vllm(handler) as url,
            BridgeServer(settings_for(url, **values)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            close = await closed_with(client)
        assert close is not None
        return close.code, close.reason

    async def test_a_setting_sends_a_model_stream_error_before_the_close(self) -> None:
        async def close(connection: ServerConnection) -> None:
            await connection.close(1012, "restart")

        async with (
            vllm(close) as url,
            BridgeServer(settings_for(url, model_stream_error=True)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            frame = json.loads(await asyncio.wait_for(client.recv(), LIMIT_SECONDS))
            seen = await closed_with(client)
        assert frame == {
            "ModelStreamError": {"ErrorCode": "StreamBroken", "Message": "restart (1012)"}
        }
        assert seen is not None
        assert seen.code == 1012


class TestSageMakerEnds:
    async def test_its_close_reaches_vllm_with_code_and_reason(self) -> None:
        async def leave(client: Any) -> None:
            await client.close(1000, "input ended")

        assert await self._close_that_vllm_sees(leave) == (1000, "input ended")

    async def test_its_close_without_a_code_is_a_1001_for_vllm(self) -> None:
        async def leave(client: Any) -> None:
            client.transport.write(b"\x88\x80\x00\x00\x00\x00")

        code, reason = await self._close_that_vllm_sees(leave)
        assert (code, reason) == (1001, "SageMaker closed without a status code")

    async def test_its_reset_is_a_1001_for_vllm(self) -> None:
        async def leave(client: Any) -> None:
            sock = client.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.transport.abort()

        code, reason = await self._close_that_vllm_sees(leave)
        assert (code, reason) == (1001, "SageMaker's connection was lost")

    @staticmethod
    async def _close_that_vllm_sees(leave: Any) -> tuple[int, str]:
        over: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

        async def generate(connection: ServerConnection) -> None:
            close = await closed_with(connection)
            assert close is not None
            over.set_result((close.code, close.reason))

        watcher = Watcher()
        async with vllm(generate) as url, BridgeServer(settings_for(url), watcher) as bridge:
            async with sagemaker(bridge.url) as client:
                await leave(client)
                seen = await asyncio.wait_for(over, LIMIT_SECONDS)
            assert (await watcher.end()).ended_by == "sagemaker"
        return seen

    async def test_vllm_is_closed_at_once_even_with_its_output_waiting_unread(self) -> None:
        blocked = asyncio.Event()
        over: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

        async def flood(connection: ServerConnection) -> None:
            with suppress(ConnectionClosed):
                await send_all(connection, b"x" * 65_536, 1_000)
            over.set_result(connection.close_code)

        def measure() -> None:
            (connection,) = bridge.server.server_state.connections
            if connection.transport.get_write_buffer_size() > 65_536:
                blocked.set()

        watcher = Watcher(on_event=measure)
        # close_seconds beyond the limit of the test: waiting it out would fail.
        settings = {"close_seconds": 2 * LIMIT_SECONDS}
        async with (
            vllm(flood) as url,
            BridgeServer(settings_for(url, **settings), watcher) as bridge,
            sagemaker(bridge.url, max_queue=1, close_timeout=0) as client,
        ):
            await asyncio.wait_for(blocked.wait(), LIMIT_SECONDS)
            client.transport.write(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
            assert await asyncio.wait_for(over, LIMIT_SECONDS) == 1000
            await watcher.end()

    async def test_a_vllm_that_does_not_answer_the_close_is_cut(self) -> None:
        async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.Event().wait()

        watcher = Watcher()
        async with (
            raw_vllm(ignore) as url,
            BridgeServer(settings_for(url, close_seconds=0.1), watcher) as bridge,
        ):
            async with sagemaker(bridge.url):
                pass
            end = await watcher.end()
        assert (end.vllm.how, end.vllm.code) == ("cut", 1000)
