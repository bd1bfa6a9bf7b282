"""What a connection may do wrong, and what it costs: itself only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import zlib
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame
from websockets.frames import Close

from sagemaker_bidi import Emulator, ManualClock
from sagemaker_bidi.transport.http2.connection import Connection
from tests.transport.lean_client import LIMIT_SECONDS, LeanClient, Lost
from tests.transport.world import world


async def test_garbage_ends_its_own_connection_with_goaway(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world() as w, LeanClient(w.emulator.url, w.emulator.ca) as other:
        stream = await w.client.open()
        await w.exchange(stream)
        sibling = await other.open()
        w.client.write(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x")  # DATA on stream 0
        await w.client.until(lambda: w.client.lost)

        assert w.client.goaway == ErrorCodes.PROTOCOL_ERROR
        assert "connection ended with GOAWAY" in caplog.text
        assert (await w.watch.session_ended()).by == "client"
        assert Close.parse(w.container.frames[-1].payload).code == 1001
        await w.exchange(sibling)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", bytes(1_000)])
async def test_a_connection_that_does_not_begin_with_the_preface_is_ended(
    emulator: Emulator, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.create_default_context(cafile=str(emulator.ca))
    context.set_alpn_protocols(["h2"])
    host, port = emulator.url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    writer.write(data + bytes(24))
    async with asyncio.timeout(LIMIT_SECONDS):
        await reader.read()

    assert "Invalid HTTP/2 preamble" in caplog.text
    writer.close()
    await writer.wait_closed()


async def test_the_stream_window_of_a_client_is_respected_and_enforced() -> None:
    async with world(http2={"stream_window": 70_000, "connection_window": 200_000}) as w:
        sibling = await w.client.open()
        await w.exchange(sibling)
        stream = await w.client.open()
        await stream.opened()
        assert stream.window == 70_000
        # The first part of a message, past the window, which h2 on our side would not send.
        size = 64 * 1024
        head = (size + 12_345).to_bytes(4) + (0).to_bytes(4)
        prelude = head + zlib.crc32(head).to_bytes(4)
        for payload in (prelude + bytes(size - len(prelude)), bytes(size)):
            w.client.write(size.to_bytes(3) + b"\x00\x00" + stream.id.to_bytes(4) + payload)
        await stream.finished()

        assert stream.reset == ErrorCodes.FLOW_CONTROL_ERROR
        await w.exchange(sibling)
        assert w.client.goaway is None


async def test_a_ping_is_answered() -> None:
    async with world() as w:
        await w.client.ping()

        assert w.client.acked_pings == 1


async def test_a_goaway_of_the_client_leaves_its_open_streams_alone() -> None:
    # RFC 9113 6.8: it announces that no more streams will come.
    async with world() as w:
        stream = await w.client.open()
        await w.exchange(stream)
        w.client.write(GoAwayFrame(0, last_stream_id=0, error_code=0).serialize())

        for _ in range(3):
            await w.exchange(stream)


async def test_a_client_that_resets_while_the_container_is_opening_leaves_nothing() -> None:
    async with world() as w:
        for _ in range(20):
            stream = await w.client.open()
            stream.cancel()
        await w.client.ping()
        sibling = await w.client.open()
        await w.exchange(sibling)

        await w.watch.until(lambda: sum(s.open for s in w.emulator.sessions) == 1)


async def test_no_payload_reaches_the_logs_even_at_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    # The test's own container logs at DEBUG what it gets; the emulator must not.
    logging.getLogger("websockets.server").setLevel(logging.INFO)
    async with world() as w:
        stream = await w.client.open()
        await w.exchange(stream, b"a secret transcript")
        await stream.close_input()
        await w.watch.session_ended()

    assert w.record.id in caplog.text
    assert "secret" not in caplog.text
    assert "Signature=" not in caplog.text


async def test_a_client_that_asks_for_nothing_is_not_kept() -> None:
    clock = ManualClock()
    async with world(clock=clock) as w:
        await clock.advance(9.9)
        await w.client.ping()
        await clock.advance(0.1)
        await w.client.until(lambda: w.client.lost)

        assert w.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_connection_that_has_had_a_request_may_be_idle() -> None:
    clock = ManualClock()
    async with world(clock=clock) as w:
        await w.exchange(await w.client.open())
        await clock.advance(50)
        await w.client.ping()

        assert not w.client.lost


async def test_one_stream_too_many_is_refused_and_the_others_go_on() -> None:
    async with world(http2={"max_streams": 2}) as w:
        first, second = await w.client.open(), await w.client.open()
        # h2 on our side would not open a third.
        w.client.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 100
        w.client.h2.remote_settings.acknowledge()
        third = await w.client.open()
        await third.finished()

        assert third.reset == ErrorCodes.REFUSED_STREAM
        await w.exchange(first)
        await w.exchange(second)


@pytest.mark.clause("K5")
async def test_a_connection_too_many_is_ended_with_goaway_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world(http2={"max_connections": 2}) as w:
        sibling = await w.client.open()
        await w.exchange(sibling)
        async with LeanClient(w.emulator.url, w.emulator.ca) as second:
            async with LeanClient(w.emulator.url, w.emulator.ca) as third:
                await third.until(lambda: third.lost)
                assert third.goaway == ErrorCodes.ENHANCE_YOUR_CALM
            (line,) = [m for m in caplog.messages if "max_connections" in m]
            assert line.endswith(
                "connection ended with GOAWAY: 2 connections are open (http2.max_connections)"
            )
            await w.exchange(sibling)
            await w.exchange(await second.open())

        async with asyncio.timeout(LIMIT_SECONDS):
            while not await is_served(w.emulator.url, w.emulator.ca):
                pass
        await w.exchange(sibling)


async def is_served(url: str, ca: Path) -> bool:
    """Whether a new connection is taken."""
    async with LeanClient(url, ca) as client:
        try:
            await client.ping()
        except (Lost, ProtocolError):  # GOAWAY may have come before the ping was sent.
            return False
    return True


async def test_a_flood_of_pings_ends_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w, LeanClient(w.emulator.url, w.emulator.ca) as other:
        w.client.write((b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8)) * 5_000)
        await w.client.until(lambda: w.client.lost)
        await other.ping()

        assert w.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM
        assert "http2.control_frames_per_second" in caplog.text


async def test_a_flood_of_resets_ends_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        world(http2={"resets_per_second": 1}) as w,
        LeanClient(w.emulator.url, w.emulator.ca) as other,
    ):
        for _ in range(100):
            if w.client.lost:
                break
            (await w.client.open()).cancel()
        await w.client.until(lambda: w.client.lost)
        await w.exchange(await other.open())

        assert w.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM
        assert "http2.resets_per_second" in caplog.text


async def test_a_bug_in_one_connection_ends_no_other_and_not_the_stop(
    monkeypatch: pytest.MonkeyPatch, failed_connections: list[logging.LogRecord]
) -> None:
    async with world() as w:
        stream = await w.client.open()
        await w.exchange(stream)
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "run", _fails)
            context = ssl.create_default_context(cafile=str(w.emulator.ca))
            context.set_alpn_protocols(["h2"])
            address = w.client.host, w.client.port
            reader, writer = await asyncio.open_connection(*address, ssl=context)
            async with asyncio.timeout(LIMIT_SECONDS):
                with contextlib.suppress(OSError):
                    await reader.read()
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await w.exchange(stream)

    assert len(failed_connections) == 1
    failed_connections.clear()


async def _fails(connection: Connection) -> None:
    raise RuntimeError("a bug")
