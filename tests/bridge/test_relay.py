"""What passes between the two sides of the bridge, and how a slow side slows the other."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from sagemaker_bidi_bridge import BridgeServer
from tests.bridge.peers import (
    LIMIT_SECONDS,
    Watcher,
    closed_with,
    echo,
    frames_of_client,
    raw_vllm,
    sagemaker,
    send_all,
    settings_for,
    unmasked,
    vllm,
)


class TestMessages:
    @pytest.mark.parametrize("message", ["grüße", b"\x00\xff\x80", "[]", b"{}"])
    async def test_text_stays_text_and_binary_stays_binary_where_a_setting_says_so(
        self, message: str | bytes
    ) -> None:
        async with (
            vllm(echo) as url,
            BridgeServer(settings_for(url, strict_data_type=True)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            await client.send(message)
            assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == message

    @pytest.mark.clause("F2")
    async def test_json_of_a_client_that_sets_no_data_type_reaches_vllm_as_text(self) -> None:
        async with (
            vllm(echo) as url,
            BridgeServer(settings_for(url)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            for message in ('{"type":"grüße"}', ""):
                await client.send(message.encode())
                assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == message

    async def test_binary_from_vllm_stays_binary(self) -> None:
        async def speak(connection: ServerConnection) -> None:
            await connection.send(b"{}")
            await connection.wait_closed()

        async with (
            vllm(speak) as url,
            BridgeServer(settings_for(url)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == b"{}"

    @pytest.mark.parametrize("tag", ["text", "binary"])
    async def test_what_is_no_utf_8_ends_both_sides_with_1007_and_the_byte(
        self, tag: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        seen: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

        async def model(connection: ServerConnection) -> None:
            await connection.wait_closed()
            seen.set_result(connection.close_code)

        watcher = Watcher()
        async with (
            vllm(model) as url,
            BridgeServer(settings_for(url), watcher) as bridge,
            sagemaker(bridge.url) as client,
        ):
            await client.send(b"{}\xff", text=tag == "text")
            close = await closed_with(client)
            assert await asyncio.wait_for(seen, LIMIT_SECONDS) == 1007
            await watcher.end()
        assert close is not None
        assert (close.code, close.reason) == (
            1007,
            "not UTF-8 at byte 2: vLLM takes JSON as text (DataType=UTF8)",
        )
        assert not [each for each in caplog.records if each.exc_info]

    async def test_a_fragmented_message_reaches_vllm_as_one_message(self) -> None:
        async with (
            vllm(echo) as url,
            BridgeServer(settings_for(url)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            await client.send(["one ", "mess", "age"])
            assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == "one message"

    async def test_the_observer_is_told_of_each_hop_in_order_with_sizes_in_bytes(self) -> None:
        watcher = Watcher()
        async with vllm(echo) as url, BridgeServer(settings_for(url), watcher) as bridge:
            async with sagemaker(bridge.url) as client:
                await client.send("é")
                await asyncio.wait_for(client.recv(), LIMIT_SECONDS)
            await watcher.end()
        assert watcher.events == [
            ("received", "sagemaker", 2, "text"),
            ("sent", "vllm", 2, "text"),
            ("received", "vllm", 2, "text"),
            ("sent", "sagemaker", 2, "text"),
        ]

    async def test_a_message_over_the_limit_from_sagemaker_ends_with_1009(self) -> None:
        watcher = Watcher()
        async with (
            vllm(echo) as url,
            BridgeServer(settings_for(url, max_message_bytes=1_000), watcher) as bridge,
            sagemaker(bridge.url) as client,
        ):
            await client.send("x" * 1_001)
            close = await closed_with(client)
            end = await watcher.end()
        assert close is not None
        assert close.code == 1009
        assert (end.ended_by, end.failed, end.sagemaker.how) == ("sagemaker", True, "closed")

    async def test_a_message_over_the_limit_from_vllm_ends_with_1011_that_says_so(self) -> None:
        async def shout(connection: ServerConnection) -> None:
            await connection.send("x" * 1_001)
            await connection.wait_closed()

        async with (
            vllm(shout) as url,
            BridgeServer(settings_for(url, max_message_bytes=1_000)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            close = await closed_with(client)
        assert close is not None
        assert close.code == 1011
        assert close.reason.startswith("the bridge closed vLLM's connection with 1009")

    async def test_no_limit_lets_a_message_beyond_the_default_pass(self) -> None:
        message = b"x" * (17 * 2**20)
        async with (
            vllm(echo) as url,
            BridgeServer(
                settings_for(url, max_message_bytes=None, strict_data_type=True)
            ) as bridge,
            sagemaker(bridge.url) as client,
        ):
            await client.send(message)
            assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == message


class TestTurns:
    async def test_a_flood_of_tiny_messages_leaves_a_sibling_and_ping_their_turn(self) -> None:
        flood = frames_of_client(b"{}", 4_000)
        events_before: list[int] = []
        asked, told = asyncio.Event(), asyncio.Event()

        async def model(connection: ServerConnection) -> None:
            async for message in connection:
                if message == "sibling":
                    events_before.append(watcher.count("received", "sagemaker"))
                    told.set()

        def begun() -> None:
            if not asked.is_set():
                asked.set()
                # Both stand in their sockets before the second message of the flood is read.
                sibling.transport.write(frames_of_client(b"sibling", 1))
                ping.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")

        def health(connection: ServerConnection, request: Any) -> Any:
            return connection.respond(200, "") if request.path == "/health" else None

        watcher = Watcher()
        async with (
            vllm(model, process_request=health) as url,
            BridgeServer(settings_for(url, stall_seconds=None), watcher) as bridge,
            sagemaker(bridge.url) as sibling,
            sagemaker(bridge.url) as flooder,
        ):
            host, port = bridge.url.removeprefix("ws://").split(":")
            answer, ping = await asyncio.open_connection(host, int(port))
            watcher.on_event = begun
            flooder.transport.write(flood)
            async with asyncio.timeout(LIMIT_SECONDS):
                assert (await answer.readline()).startswith(b"HTTP/1.1 200")
                events_before.append(watcher.count("received", "sagemaker"))
                await told.wait()
            ping.close()
        assert max(events_before) < 1_000

    async def test_a_burst_of_tiny_messages_from_vllm_leaves_a_sibling_its_turn(self) -> None:
        events_before: list[int] = []
        told = asyncio.Event()

        async def burst(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.read(64)
            if b"go" in unmasked(request):
                writer.write(b"\x81\x01x" * 4_000)
            else:
                events_before.append(watcher.count("received", "vllm"))
                told.set()
            await reader.read()

        def begun() -> None:
            if watcher.count("received", "vllm") == 1:
                sibling.transport.write(frames_of_client(b"sibling", 1))

        watcher = Watcher(on_event=begun)
        async with (
            raw_vllm(burst) as url,
            BridgeServer(settings_for(url, close_seconds=0.1), watcher) as bridge,
            sagemaker(bridge.url) as sibling,
            sagemaker(bridge.url, close_timeout=0) as asking,
        ):
            await asking.send("go")
            await asyncio.wait_for(told.wait(), LIMIT_SECONDS)
        assert max(events_before) < 1_000

    async def test_what_was_read_before_the_connection_was_lost_is_passed_on(self) -> None:
        heard = 0
        over = asyncio.Event()

        async def model(connection: ServerConnection) -> None:
            nonlocal heard
            async for _ in connection:
                heard += 1
            over.set()

        async with (
            vllm(model) as url,
            BridgeServer(settings_for(url)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            client.transport.write(frames_of_client(b"{}", 2_000) + b"\x88\x80\0\0\0\0")
            await asyncio.wait_for(over.wait(), LIMIT_SECONDS)
        assert heard == 2_000


class TestIdle:
    async def test_a_session_that_passes_nothing_gives_its_place_to_another(self) -> None:
        async with (
            vllm(echo) as url,
            BridgeServer(settings_for(url, idle_seconds=0.1, max_sessions=1)) as bridge,
            sagemaker(bridge.url) as client,
        ):
            close = await closed_with(client)
            await asyncio.wait_for(bridge.sessions.wait_idle(), LIMIT_SECONDS)
            async with sagemaker(bridge.url):
                pass
        assert close is not None
        assert (close.code, close.reason) == (1008, "no message in either direction for 0.1 s")


class TestBackPressure:
    async def test_a_client_that_does_not_read_stops_vllm_and_memory_stays_bounded(self) -> None:
        message, count = b"x" * 65_536, 1_000  # 64 MB: far more than all socket buffers hold
        sent = 0

        async def flood(connection: ServerConnection) -> None:
            nonlocal sent
            for _ in range(count):
                await connection.send(message)
                sent += 1

        buffered: list[int] = []
        full, stuck = asyncio.Event(), asyncio.Event()
        watcher = Watcher()

        def measure() -> None:
            connections = bridge.server.server_state.connections
            buffered.extend(each.transport.get_write_buffer_size() for each in connections)
            if buffered and buffered[-1] > 65_536:
                full.set()
            if watcher.count("received", "vllm") == count:
                stuck.set()

        watcher.on_event = measure
        async with (
            vllm(flood) as url,
            BridgeServer(settings_for(url), watcher) as bridge,
            sagemaker(bridge.url, max_queue=1) as client,
        ):
            # A bridge without back-pressure goes on reading here, up to the last message.
            await asyncio.wait_for(full.wait(), LIMIT_SECONDS)
            for _ in range(2_000):
                await asyncio.sleep(0)
            assert not stuck.is_set()
            assert sent < count
            received = 0
            while received < count:
                assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == message
                received += 1
        assert max(buffered) <= 2 * (65_536 + 16)

    async def test_a_vllm_that_does_not_read_stops_the_client(self) -> None:
        message, count = b"x" * 65_536, 1_000
        read, let_go = 0, asyncio.Event()

        async def sleepy(connection: ServerConnection) -> None:
            nonlocal read
            await let_go.wait()
            async for _ in connection:
                read += 1

        watcher = Watcher()
        async with vllm(sleepy, max_queue=1) as url:
            async with (
                BridgeServer(
                    settings_for(url, stall_seconds=0.2, close_seconds=0.1), watcher
                ) as bridge,
                sagemaker(bridge.url) as client,
            ):
                # The stall limit is what makes "vLLM takes nothing" an event to wait for.
                with pytest.raises(ConnectionClosed):
                    await send_all(client, message, count)
                end = await watcher.end()
            let_go.set()
        assert end.ended_by == "bridge"
        assert watcher.count("received", "sagemaker") - watcher.count("sent", "vllm") == 1
        assert watcher.count("received", "sagemaker") < count
        assert client.close_reason == "vLLM left a message untaken for 0.2 s"

    async def test_a_client_that_never_reads_again_is_cut_and_leaves_nothing(self) -> None:
        async def flood(connection: ServerConnection) -> None:
            await send_all(connection, b"x" * 65_536, 1_000)

        watcher = Watcher()
        settings: dict[str, Any] = {"stall_seconds": 0.1, "close_seconds": 0.1}
        async with (
            vllm(flood) as url,
            BridgeServer(settings_for(url, **settings), watcher) as bridge,
            sagemaker(bridge.url, max_queue=1, close_timeout=0),
        ):
            end = await watcher.end()
            await asyncio.wait_for(bridge.sessions.wait_idle(), LIMIT_SECONDS)
            assert not bridge.server.server_state.connections
        assert (end.ended_by, end.sagemaker.how) == ("bridge", "cut")
