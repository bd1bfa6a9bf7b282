"""How `bidi serve` stops, and how it uses the cores."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.frames import Close, Opcode

from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.cli.test_serve import in_thread, read_until_ready
from tests.transport.lean_client import LeanClient, LeanStream

# It looks at processes in /proc.
pytestmark = pytest.mark.linux

PATIENCE = 20.0  # seconds, for a machine that is busy
FOR_EVER = 3_600.0

type Start = Callable[..., subprocess.Popen[str]]
type Exports = Callable[[str], dict[str, str]]
type Serve = Callable[..., AbstractAsyncContextManager[Serving]]


@dataclass
class Serving:
    """A running `bidi serve` with an endpoint `echo`."""

    process: subprocess.Popen[str]
    url: str
    ca: Path
    container: EchoContainer

    def client(self) -> LeanClient:
        return LeanClient(self.url, self.ca)

    async def ended(self) -> int:
        """Wait for its end; gives the exit status."""
        return await in_thread(lambda: self.process.wait(timeout=PATIENCE))

    @property
    def on_uvloop(self) -> bool:
        """Whether a process that serves has uvloop's library loaded."""
        serving = self.workers or [self.process.pid]
        return any("uvloop/loop" in Path(f"/proc/{pid}/maps").read_text() for pid in serving)

    @property
    def workers(self) -> list[int]:
        """The processes that it started."""
        pid = self.process.pid
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def serve(start_bidi: Start, read_exports: Exports, tmp_path: Path) -> Serve:
    """Start `bidi serve` with a time of grace and options."""

    @asynccontextmanager
    async def serving(grace: float, *options: object) -> AsyncIterator[Serving]:
        config = tmp_path / "bidi.toml"
        config.write_text(f'grace = {grace}\nhealth = "off"\n[contract]\naccept_seconds = 10\n')
        async with EchoContainer(port=0) as container:
            arguments = ("--endpoint", f"echo={container.url}", "--port", 0, "--config", config)
            process = start_bidi("serve", *arguments, *options)
            exports = read_exports(await in_thread(lambda: read_until_ready(process)))
            url = exports["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2"]
            running = Serving(process, url, Path(exports["SSL_CERT_FILE"]), container)
            try:
                yield running
            finally:
                # Killed, it could not tell its workers.
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    await running.ended()

    return serving


async def exchange(stream: LeanStream, payload: bytes = b"hello") -> None:
    await stream.send(payload, "UTF8")
    back = await stream.receive()
    assert back is not None
    assert back.message.payload == payload


async def told_of_the_stop(stream: LeanStream) -> None:
    """The client is told why its session ends, and the stream has a defined end (E5)."""
    error = await stream.receive()
    assert error is not None
    assert error.message.headers[":exception-type"] == "InternalStreamFailure"
    assert error.message.payload == b'{"Message": "The service is shutting down."}'
    assert await stream.receive() is None


async def no_more_connections(client: LeanClient) -> None:
    """Wait until nobody listens; that may be a moment after GOAWAY."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection(client.host, client.port)
            except ConnectionError:
                return
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


async def container_told_of_the_stop(serving: Serving) -> None:
    """The container gets a Close frame with the reason (E5)."""
    async with asyncio.timeout(PATIENCE):
        frames = await serving.container.wait_for_frames(2)
    assert frames[-1].opcode is Opcode.CLOSE
    close = Close.parse(frames[-1].payload)
    assert (close.code, close.reason) == (1001, "service is shutting down")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
async def test_sigterm_and_sighup_send_goaway_and_let_the_open_sessions_finish(
    serve: Serve, first: signal.Signals, workers: int
) -> None:
    if signal.getsignal(first) is signal.SIG_IGN:
        pytest.skip(f"these tests run with {first.name} ignored, and what they start inherits it")
    async with serve(FOR_EVER, "--workers", workers) as serving, serving.client() as client:
        stream = await client.open()
        await exchange(stream)
        serving.process.send_signal(first)
        await client.until(lambda: client.goaway is not None)

        assert client.goaway == 0
        await no_more_connections(client)
        for _ in range(3):
            await exchange(stream)
        assert serving.process.poll() is None
        await stream.close_input()
        assert await stream.receive() is None
        assert await serving.ended() == 0


async def test_what_has_not_finished_by_the_end_of_the_grace_is_closed_with_the_reason(
    serve: Serve,
) -> None:
    async with serve(0.2) as serving, serving.client() as client:
        stream = await client.open()
        await exchange(stream)
        serving.process.send_signal(signal.SIGTERM)

        await told_of_the_stop(stream)
        await container_told_of_the_stop(serving)
        assert await serving.ended() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_grace_at_once(serve: Serve, second: signal.Signals) -> None:
    async with serve(FOR_EVER) as serving, serving.client() as client:
        stream = await client.open()
        await exchange(stream)
        serving.process.send_signal(signal.SIGTERM)
        await client.until(lambda: client.goaway is not None)
        await exchange(stream)
        serving.process.send_signal(second)

        await told_of_the_stop(stream)
        await container_told_of_the_stop(serving)
        assert await serving.ended() == 0


async def test_each_of_two_workers_serves_and_both_hear_both_signals(serve: Serve) -> None:
    async with serve(FOR_EVER, "--workers", 2) as serving, AsyncExitStack() as clients:
        workers = serving.workers
        assert len(workers) == 2
        streams = []
        for idle in workers:
            # What stands still takes no connection, so the other has to.
            with standing_still(idle):
                client = await clients.enter_async_context(serving.client())
                stream = await client.open()
                await exchange(stream)
            streams.append((client, stream))
        serving.process.send_signal(signal.SIGTERM)
        for client, stream in streams:
            await client.until(lambda: client.goaway is not None)  # noqa: B023
            await exchange(stream)
        assert serving.workers == workers
        serving.process.send_signal(signal.SIGTERM)
        for _, stream in streams:
            await told_of_the_stop(stream)

        assert await serving.ended() == 0


async def test_a_worker_with_nothing_to_do_takes_no_grace_from_the_other(serve: Serve) -> None:
    async with serve(FOR_EVER, "--workers", 2) as serving, AsyncExitStack() as clients:
        idle, _ = serving.workers
        with standing_still(idle):
            client = await clients.enter_async_context(serving.client())
            stream = await client.open()
            await exchange(stream)
        # The idle one is up too by the time that it answers.
        with standing_still(serving.workers[1]):
            other = await clients.enter_async_context(serving.client())
            await other.ping()
        serving.process.send_signal(signal.SIGTERM)
        await in_thread(lambda: wait_until(idle, "Z"))
        for _ in range(20):
            await exchange(stream)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_to_the_whole_group_is_one_signal_to_each_worker(
    serve: Serve, number: signal.Signals
) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"these tests run with {number.name} ignored, and what they start inherits it")
    async with serve(FOR_EVER, "--workers", 2) as serving, serving.client() as client:
        stream = await client.open()
        await exchange(stream)
        # As `timeout` and an init system send it, and a terminal that closes.
        for process in (*serving.workers, serving.process.pid):
            os.kill(process, number)
        await client.until(lambda: client.goaway is not None)

        for _ in range(3):
            await exchange(stream)
        await stream.close_input()
        assert await stream.receive() is None
        assert await serving.ended() == 0


async def test_a_signal_that_comes_while_the_workers_start_stops_them_all_the_same(
    serve: Serve,
) -> None:
    async with serve(FOR_EVER, "--workers", 2) as serving:
        # It listens before its workers are up.
        serving.process.send_signal(signal.SIGTERM)

        assert await serving.ended() == 0


async def test_workers_stop_when_their_parent_is_killed(serve: Serve) -> None:
    async with serve(0.0, "--workers", 2) as serving, serving.client() as client:
        await exchange(await client.open())
        workers = serving.workers
        serving.process.kill()

        for worker in workers:
            await in_thread(lambda: wait_until(worker, "Z"))  # noqa: B023


async def test_a_worker_that_dies_ends_them_all_with_its_status_and_is_named(serve: Serve) -> None:
    async with serve(0.0, "--workers", 2) as serving, serving.client() as client:
        await exchange(await client.open())  # One of them is up by now.
        dead, _ = serving.workers
        os.kill(dead, signal.SIGKILL)
        _, said = await in_thread(serving.process.communicate)

    assert serving.process.returncode == 128 + signal.SIGKILL
    assert f"worker {dead} ended by SIGKILL before its time: stopping the others" in said
    assert "the parent asks (SIGTERM): stopping, open sessions have 0 s" in said


async def test_a_worker_that_does_not_outlive_its_stop_is_named_too(serve: Serve) -> None:
    async with serve(FOR_EVER, "--workers", 2) as serving, AsyncExitStack() as clients:
        idle, busy = serving.workers
        with standing_still(idle):
            client = await clients.enter_async_context(serving.client())
            await exchange(await client.open())
        serving.process.send_signal(signal.SIGTERM)
        await in_thread(lambda: wait_until(idle, "Z"))
        os.kill(busy, signal.SIGKILL)
        _, said = await in_thread(serving.process.communicate)

    assert serving.process.returncode == 128 + signal.SIGKILL
    assert f"worker {busy} ended by SIGKILL\n" in said
    assert f"worker {idle}" not in said


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_event_loop_is_uvloops_where_it_is_installed(serve: Serve, workers: int) -> None:
    pytest.importorskip("uvloop")
    async with serve(0.0, "--workers", workers) as serving, serving.client() as client:
        await exchange(await client.open())

        assert serving.on_uvloop


async def test_a_connection_that_is_reset_is_no_error_of_the_server(serve: Serve) -> None:
    async with serve(0.0) as serving:
        for _ in range(3):
            async with serving.client() as client:
                await exchange(await client.open())
                client.reset()
        async with serving.client() as client:
            await exchange(await client.open())
        serving.process.send_signal(signal.SIGTERM)
        _, said = await in_thread(serving.process.communicate)

    assert "Traceback" not in said
    assert serving.process.returncode == 0


async def test_without_uvloop_the_event_loop_is_pythons_own(
    serve: Serve, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('not installed')\n")
    environment["PYTHONPATH"] = str(tmp_path)
    async with serve(0.0) as serving, serving.client() as client:
        await exchange(await client.open())

        assert not serving.on_uvloop


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """A process takes nothing from its sockets meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(pid, "T")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_until(pid: int, state: str) -> None:
    """Wait until a process is in this state: `T` is stopped, `Z` has ended (proc(5))."""
    status = Path(f"/proc/{pid}/status")
    while True:
        try:
            if f"State:\t{state}" in status.read_text():
                return
        except (FileNotFoundError, ProcessLookupError):
            assert state == "Z", f"process {pid} has ended"
            return
        os.sched_yield()
