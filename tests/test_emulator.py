"""The emulator as an object: start, addresses, trust, stop."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import time
from pathlib import Path

import pytest
from websockets.frames import Opcode

from sagemaker_bidi import Config, ConfigError, Emulator, ManualClock, PortTaken, RealClock
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.misbehaving import AcceptAfter, MisbehavingContainer
from sagemaker_bidi_fixtures.containers.server import FrameServer
from tests.transport.lean_client import LeanClient
from tests.transport.world import names_of_other_tasks, open_sockets, stalls, world

PATIENCE = 20.0  # seconds, for a machine that is busy


async def test_the_emulator_listens_on_a_free_port_of_the_loopback(emulator: Emulator) -> None:
    host, port = emulator.url.removeprefix("https://").split(":")

    assert host == "127.0.0.1"
    with socket.create_connection((host, int(port)), timeout=5):
        pass


async def test_a_taken_port_is_named_with_what_to_do(emulator: Emulator) -> None:
    port = int(emulator.url.rpartition(":")[2])
    with pytest.raises(PortTaken) as caught:
        await Emulator(port=port).start()

    assert f"cannot listen on 127.0.0.1:{port}" in str(caught.value)
    assert "choose another --port" in str(caught.value)


async def test_an_address_of_another_machine_is_named_with_what_to_do() -> None:
    config = Config(port=0, host="192.0.2.1")
    with pytest.raises(PortTaken, match=r"cannot listen on 192\.0\.2\.1.*--host"):
        await Emulator(config=config).start()


def test_a_url_before_the_start_is_an_error_that_says_how_to_start() -> None:
    emulator = Emulator()
    with pytest.raises(RuntimeError, match="use it as `with Emulator"):
        _ = emulator.url


def test_a_wrong_endpoint_is_an_error_at_once() -> None:
    with pytest.raises(ConfigError, match="my_endpoint"):
        Emulator({"my_endpoint": "ws://127.0.0.1:8080"})
    with pytest.raises(ConfigError, match="must begin with ws://"):
        Emulator({"voxtral": "127.0.0.1:8080"})


@pytest.mark.parametrize(
    ("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")]
)
async def test_the_url_is_one_that_a_client_can_use(host: str, shown: str) -> None:
    async with Emulator(config=Config(port=0, host=host)) as emulator:
        assert emulator.url.startswith(f"https://{shown}:")
        async with LeanClient(emulator.url, emulator.ca) as client:
            await client.ping()


async def test_trust_is_the_environment_that_an_aws_sdk_needs(emulator: Emulator) -> None:
    trust = emulator.trust()

    assert trust["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2"] == emulator.url
    assert Path(trust["SSL_CERT_FILE"]) == emulator.ca
    assert trust["AWS_REGION"] == trust["AWS_DEFAULT_REGION"] == "us-east-1"
    assert trust["AWS_ACCESS_KEY_ID"]
    assert trust["AWS_SECRET_ACCESS_KEY"]


async def test_endpoints_of_a_configuration_and_of_the_call_are_both_served(
    echo: EchoContainer,
) -> None:
    config = Config.model_validate({"port": 0, "endpoints": {"first": {"url": echo.url}}})
    async with (
        Emulator({"second": echo.url}, config=config) as emulator,
        LeanClient(emulator.url, emulator.ca) as client,
    ):
        for name in ("first", "second"):
            stream = await (await client.open(name)).opened()
            assert stream.status == 200


async def test_a_record_tells_of_a_session_while_it_runs_and_after_it(
    emulator: Emulator, echo: EchoContainer
) -> None:
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await client.open()
        for payload in (b"one", b"two"):
            await stream.send(payload, "UTF8")
            await stream.receive()
        (record,) = emulator.sessions
        assert (record.endpoint, record.variant) == ("echo", "AllTraffic")
        assert (record.open, record.ending, record.closed_by) == (True, None, None)
        await stream.close_input()
        await stream.finished()
    await emulator.stop()

    assert not record.open
    assert record.closed_by == "client"
    assert (record.parts_received, record.frames_sent) == (2, 2)
    assert (record.frames_received, record.parts_sent) == (2, 2)
    assert (record.frames_discarded, record.frames_after_close) == (0, 0)
    assert record.closed_at is not None
    assert record.closed_at >= record.opened_at


async def test_the_log_does_not_say_that_a_client_that_was_gone_was_sent_anything(
    emulator: Emulator, echo: EchoContainer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bidi.session")
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await (await client.open()).opened()
        stream.cancel()
        await emulator.sessions[-1].wait_closed()
    (line,) = [line for line in caplog.messages if "ended by the client" in line]
    assert "received RST_STREAM CANCEL; the client was sent: nothing, it was gone; " in line


async def test_stop_ends_open_sessions_with_the_shutdown_error(
    emulator: Emulator, echo: EchoContainer
) -> None:
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await (await client.open()).opened()
        began = time.monotonic()
        await emulator.stop()

        assert time.monotonic() - began < PATIENCE
        error = await stream.receive()
        assert error is not None
        assert error.message.headers[":exception-type"] == "InternalStreamFailure"
        assert json.loads(error.message.payload) == {"Message": "The service is shutting down."}
        assert await stream.receive() is None
        assert client.goaway == 0


@pytest.mark.clause("O7")
async def test_stop_tells_the_client_of_a_stream_that_a_fault_holds_before_it_opens(
    emulator: Emulator, echo: EchoContainer
) -> None:
    async with (
        emulator.scenario("headers-never-sent"),
        LeanClient(emulator.url, emulator.ca) as client,
    ):
        stream = await client.open()
        await client.ping()
        await emulator.stop()

        assert json.loads(await stream.finished()) == {"Message": "The service is shutting down."}
        assert dict(stream.headers)[":status"] == "503"


async def test_stop_with_grace_lets_open_sessions_finish_and_takes_no_new_ones(
    emulator: Emulator, echo: EchoContainer
) -> None:
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await (await client.open()).opened()
        stopping = asyncio.create_task(emulator.stop(grace=60))
        await client.until(lambda: client.goaway is not None)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", client.port)

        await stream.send(b"last words", "UTF8")
        back = await stream.receive()
        assert back is not None
        assert back.message.payload == b"last words"
        await stream.close_input()
        assert await stream.receive() is None
        async with asyncio.timeout(PATIENCE):
            await stopping
    (record,) = emulator.sessions
    assert record.closed_by == "client"


async def test_stop_with_grace_ends_what_has_not_finished_by_then(
    emulator: Emulator, echo: EchoContainer
) -> None:
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await (await client.open()).opened()
        async with asyncio.timeout(PATIENCE):
            await emulator.stop(grace=0.05)

        error = await stream.receive()
        assert error is not None
        assert error.message.headers[":message-type"] == "exception"


async def test_stop_with_grace_does_not_wait_for_idle_connections(emulator: Emulator) -> None:
    context = ssl.create_default_context(cafile=str(emulator.ca))
    context.set_alpn_protocols(["h2"])
    port = int(emulator.url.rpartition(":")[2])

    def connect() -> ssl.SSLSocket:
        # A blocking client that is elsewhere: it answers neither GOAWAY nor close_notify.
        plain = socket.create_connection(("127.0.0.1", port))
        return context.wrap_socket(plain, server_hostname="localhost")

    idle = await asyncio.to_thread(connect)
    async with asyncio.timeout(PATIENCE):
        await emulator.stop(grace=60)
    idle.close()


async def test_stop_does_not_wait_for_a_tls_handshake_that_never_ends(
    emulator: Emulator,
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(emulator.url.rpartition(":")[2]))
    async with asyncio.timeout(PATIENCE):
        await emulator.stop()
    writer.close()


@pytest.mark.parametrize("clock", [RealClock, ManualClock])
async def test_stop_is_bounded_though_the_container_is_frozen(
    clock: type[RealClock | ManualClock],
) -> None:
    # Made here: a driven clock has the wall's time at its making, which signatures are held to.
    async with world(stalls, clock=clock()) as w:
        stream = await (await w.client.open()).opened()
        async with asyncio.timeout(PATIENCE):
            await w.emulator.stop()

        assert await stream.receive() is not None
        assert not w.record.open


@pytest.mark.clause("O7")
async def test_stop_waits_for_no_container_that_is_still_accepting_and_tells_the_client() -> None:
    # On a driven clock, nobody makes its 250 ms pass.
    asked = asyncio.Event()

    async def accept_never(seconds: float) -> None:
        asked.set()
        await asyncio.Event().wait()

    container = MisbehavingContainer(AcceptAfter(60.0), wait=accept_never)
    async with world(container, clock=ManualClock()) as w:
        stream = await w.client.open()
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
        async with asyncio.timeout(PATIENCE):
            await w.emulator.stop()
        assert json.loads(await stream.finished()) == {"Message": "The service is shutting down."}
        assert dict(stream.headers)[":status"] == "503"


async def test_stop_is_bounded_though_a_client_does_not_read() -> None:
    async def floods(connection: FrameSocket) -> None:
        while True:
            await connection.send(Opcode.BINARY, bytes(64 * 1024))

    async with world(FrameServer(floods, port=0)) as w:
        stream = await w.client.open(reads=False)
        await w.client.until(lambda: len(stream.body) == 65_535)
        async with asyncio.timeout(PATIENCE):
            await w.emulator.stop()


async def test_after_stop_no_task_and_no_socket_is_left(echo: EchoContainer) -> None:
    tasks, sockets = names_of_other_tasks(), open_sockets()
    emulator = Emulator({"echo": echo.url})
    await emulator.start()
    async with LeanClient(emulator.url, emulator.ca) as client:
        streams = [await (await client.open()).opened() for _ in range(5)]
        await streams[0].close_input()
        streams[1].cancel()
        await emulator.stop()
    for _ in range(10):
        await asyncio.sleep(0)

    assert sorted(names_of_other_tasks()) == sorted(tasks)
    assert open_sockets() == sockets
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", client.port)


async def test_stop_may_be_called_twice_and_before_the_start() -> None:
    emulator = Emulator()
    await emulator.stop()
    await emulator.start()
    await asyncio.gather(emulator.stop(), emulator.stop())
    await emulator.stop()


async def test_an_emulator_can_be_started_again(echo: EchoContainer) -> None:
    emulator = Emulator({"echo": echo.url})
    for _ in range(2):
        async with emulator, LeanClient(emulator.url, emulator.ca) as client:
            stream = await (await client.open()).opened()
            assert stream.status == 200


async def test_starting_twice_is_an_error(emulator: Emulator) -> None:
    with pytest.raises(RuntimeError, match="runs already"):
        await emulator.start()
