"""An emulator for tests that have no event loop, or block the one they have."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagemaker_bidi import Config, Emulator, ManualClock, PortTaken, RealClock
from sagemaker_bidi.own_thread import OwnThread
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.errors import StreamBroken
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.transport.lean_client import LeanClient, Lost

ECHOES = """
import asyncio, sys
from sagemaker_bidi_client.connect import open_stream

async def talk():
    async with open_stream("echo") as stream:
        await stream.opened()
        for number in range(int(sys.argv[1])):
            await stream.send_text(str(number))
            print((await stream.receive_message()).decode())

asyncio.run(talk())
"""


@pytest.fixture
def container() -> Iterator[EchoContainer]:
    with OwnThread(EchoContainer(port=0), "echo") as container:
        yield container


@pytest.fixture
def served(container: EchoContainer) -> Iterator[Emulator]:
    with Emulator({"echo": container.url}) as emulator:
        yield emulator


async def exchange(emulator: Emulator, count: int = 1) -> list[bytes]:
    """What comes back of the numbers up to `count`, until the stream ends."""
    received: list[bytes] = []
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await (await client.open("echo")).opened()
        for number in range(count):
            try:
                await stream.send(str(number).encode())
            except Lost:
                break
            event = await stream.receive()
            if event is None or ":exception-type" in event.message.headers:
                break
            received.append(event.message.payload)
    return received


def test_a_test_without_a_loop_runs_its_client_in_one_of_its_own(served: Emulator) -> None:
    assert asyncio.run(exchange(served, 3)) == [b"0", b"1", b"2"]


def test_a_client_in_a_subprocess_is_served_while_the_test_waits_for_it(served: Emulator) -> None:
    environment = served.environment().over(os.environ)

    done = subprocess.run(
        [sys.executable, "-c", ECHOES, "3"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout.split()) == (0, ["0", "1", "2"]), done.stderr
    [session] = served.sessions
    session.join()
    assert [part.payload for part in session.received] == [b"0", b"1", b"2"]
    assert [part.payload for part in session.sent] == [b"0", b"1", b"2"]


async def test_a_test_that_blocks_its_loop_is_served_too(served: Emulator) -> None:
    # Blocked on purpose: it is what a test may do.
    done = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-c", ECHOES, "1"],
        env=served.environment().over(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_a_scenario_is_in_force_for_a_block(served: Emulator) -> None:
    with served.scenario("container-dies", after_parts=2) as plan:
        assert asyncio.run(exchange(served, 9)) == [b"0", b"1"]
        assert served.faults.plans == [plan]

    assert len(asyncio.run(exchange(served, 9))) == 9


async def test_a_scenario_reaches_a_session_that_is_open(served: Emulator) -> None:
    with served.environment():
        async with open_stream("echo") as stream:
            await stream.opened()
            async with served.scenario("container-close-1011", after_parts=1):
                await stream.send_text("hello")
                assert await stream.receive_message() == b"hello"
                with pytest.raises(StreamBroken):
                    await stream.receive_message()


async def test_a_session_is_waited_for_in_a_loop_that_is_not_the_emulators(
    served: Emulator,
) -> None:
    async with LeanClient(served.url, served.ca) as client:
        stream = await (await client.open("echo")).opened()
        await stream.send(b"hello")
        await stream.receive()
        [session] = served.sessions
        assert session.open
        with pytest.raises(TimeoutError, match="is still open after 0 s"):
            session.join(0)
        await stream.close_input()
        await session.wait_closed()

    assert session.closed_by == "client"


async def test_a_clock_of_the_test_moves_an_emulator_on_its_own_thread(
    container: EchoContainer,
) -> None:
    clock = ManualClock(unscaled=RealClock())
    # Shorter than the time between two pings: their answers are real, and the clock is not.
    config = Config.model_validate({"port": 0, "contract": {"lifetime": 50.0}})
    with Emulator({"echo": container.url}, config=config, clock=clock) as emulator:
        async with LeanClient(emulator.url, emulator.ca) as client:
            stream = await (await client.open("echo")).opened()
            await stream.send(b"hello")
            await stream.receive()
            await clock.advance(51)
            event = await stream.receive()

    assert event is not None
    assert b"ModelInvocationTimeExceeded" in event.message.payload


async def test_a_container_in_the_loop_that_starts_the_emulator_is_in_service() -> None:
    async with EchoContainer(port=0) as container:
        with Emulator({"echo": container.url}) as emulator:
            assert await exchange(emulator) == [b"0"]


def test_what_keeps_it_from_starting_is_raised_and_no_thread_stays(served: Emulator) -> None:
    port = int(served.url.rpartition(":")[2])
    threads = threading.active_count()

    with pytest.raises(PortTaken), Emulator(port=port):
        pass

    assert threading.active_count() == threads


def test_it_is_gone_after_its_block(container: EchoContainer, tmp_path: Path) -> None:
    threads = threading.active_count()
    emulator = Emulator({"echo": container.url}, state=tmp_path)
    for _ in range(2):
        with emulator:
            assert asyncio.run(exchange(emulator)) == [b"0"]

    assert threading.active_count() == threads
    with pytest.raises(OSError, match=r"."):
        asyncio.run(exchange(emulator))


def test_of_what_passes_the_latest_is_kept(container: EchoContainer) -> None:
    with Emulator({"echo": container.url}, keep_bytes=600) as emulator:
        asyncio.run(exchange(emulator, 5))
        asyncio.run(exchange(emulator, 2))
        first, second = emulator.sessions
        second.join()

        assert (first.received, first.sent) == ([], [])
        assert [part.payload for part in second.received] == [b"0", b"1"]
        assert [part.payload for part in second.sent] == [b"0", b"1"]


def test_plans_come_and_go_from_any_thread_while_sessions_run(served: Emulator) -> None:
    over = threading.Event()
    added = 0

    def change() -> None:
        nonlocal added
        while not over.is_set():
            with served.scenario("latency", seconds=0.0):
                added += 1

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(5):
            assert len(asyncio.run(exchange(served, 20))) == 20
    finally:
        over.set()
        changing.join()

    assert added
    assert served.faults.plans == []


def test_a_session_in_which_all_arrived_is_not_said_to_have_lost_anything(
    served: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    async def say_and_hear() -> None:
        async with LeanClient(served.url, served.ca) as client:
            stream = await (await client.open("echo")).opened()
            await stream.send(b"hello")
            await stream.receive()
            await stream.close_input()
            await stream.finished()

    with caplog.at_level(logging.INFO, "bidi"):
        asyncio.run(say_and_hear())
        [session] = served.sessions
        session.join()

    assert "the client closed its input" in caplog.text
    assert "lost" not in caplog.text
