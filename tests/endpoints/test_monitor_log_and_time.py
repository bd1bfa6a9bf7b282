"""What the log says of a container's health, on which clock, and from start to end."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sagemaker_bidi.clock import ScaledClock
from sagemaker_bidi.contract.health import Status
from sagemaker_bidi_fixtures.containers.server import Ping
from tests.driven import DrivenClock, RawContainer, watcher_ended
from tests.endpoints.monitored import (
    OK,
    RUNNING,
    STARTING,
    endpoint,
    lines,
    monitor_of,
    serving,
    status,
    watching,
)

pytestmark = pytest.mark.clause("K4")


async def test_the_log_names_each_new_reason_once(
    clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    busy, absent = b"HTTP/1.1 503 Busy\r\n\r\n", b"HTTP/1.1 404 No\r\n\r\n"
    async with RawContainer(busy) as container, watching(container.url, clock):
        for answer in (busy, busy, absent, absent, busy):
            container.answer = answer
            await clock.pass_check(STARTING)
        where = f"e/v1: Creating: GET http{container.url.removeprefix('ws')}/ping"

    assert lines(caplog, logging.WARNING) == [
        f"{where} answered 503 (K4)",
        f"{where} answered 404 (K4)",
        f"{where} answered 503 (K4)",
    ]


async def test_a_container_that_closes_and_refuses_connections_in_turn_is_told_of_once(
    clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with RawContainer(b"") as container, watching(container.url, clock):
        for answer in (b"", b"no HTTP at all\r\n\r\n", b"", b"no HTTP at all\r\n\r\n"):
            container.answer = answer
            await clock.pass_check(STARTING)

    assert len(lines(caplog, logging.WARNING)) == 1


async def test_the_log_tells_when_a_container_gets_unhealthy_and_when_it_recovers(
    clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with RawContainer(OK) as container, watching(container.url, clock):
        container.answer = b"HTTP/1.1 500 Oh\r\n\r\n"
        for _ in range(3):
            await clock.pass_check(RUNNING)
        container.answer = OK
        await clock.pass_check(RUNNING)

    told = [r for r in caplog.records if r.name == "bidi.hosting"]
    assert [(r.levelname, r.getMessage().split(": ")[1]) for r in told] == [
        ("INFO", "InService"),
        ("WARNING", "InService"),
        ("ERROR", "Unhealthy"),
        ("INFO", "InService"),
    ]


# Two clocks: SageMaker's schedule may be scaled, the container's two seconds never are.


async def test_the_schedule_runs_on_the_emulators_clock_and_the_two_seconds_on_the_real_one() -> (
    None
):
    real = DrivenClock()
    scaled = DrivenClock(unscaled=real)
    async with RawContainer(OK) as container, watching(container.url, scaled) as (monitor, _):
        container.answer = None
        await scaled.wait_for_sleeper(RUNNING)
        await scaled.advance(RUNNING)
        await real.wait_for_sleeper(2.0)
        container.asked.clear()

        await scaled.advance(1000)
        await real.advance(1.99)
        await real.wait_for_sleeper(0.01)
        await real.advance(0.01)
        await scaled.wait_for_sleeper(RUNNING)
        assert monitor.status("e", "v1") is Status.IN_SERVICE
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await real.wait_for_sleeper(2.0)


async def test_a_container_slower_than_the_scaled_two_seconds_still_passes() -> None:
    # Two seconds of this clock are 2 ms.
    async with serving(Ping(delay=0.05), ScaledClock(1000)) as (emulator, _):
        assert status(emulator) is Status.IN_SERVICE


async def test_eight_minutes_pass_in_a_moment_on_a_scaled_clock() -> None:
    async with RawContainer(OK) as container:
        url = container.url
    async with watching(url, ScaledClock(10_000)) as (monitor, _):
        await watcher_ended()

        assert monitor.status("e", "v1") is Status.FAILED


# Start and end.


async def test_the_eight_minutes_begin_with_the_start_and_a_new_start_forgets_the_failure(
    clock: DrivenClock,
) -> None:
    async with RawContainer(b"HTTP/1.1 503 Busy\r\n\r\n") as container:
        monitor, _ = monitor_of(endpoint(container.url), clock)
        await clock.advance(600)
        await monitor.start()
        assert monitor.status("e", "v1") is Status.CREATING

        await clock.wait_for_sleeper(STARTING)
        await clock.advance(480)
        await watcher_ended()
        assert monitor.status("e", "v1") is Status.FAILED
        await monitor.stop()

        await monitor.start()
        assert monitor.status("e", "v1") is Status.CREATING
        container.answer = OK
        await clock.pass_check(STARTING, then=RUNNING)
        assert monitor.status("e", "v1") is Status.IN_SERVICE
        await monitor.stop()


async def test_stopping_calls_off_a_check_under_way(clock: DrivenClock) -> None:
    async with RawContainer(OK) as container, watching(container.url, clock) as (monitor, _):
        container.answer = None
        container.asked.clear()
        await clock.wait_for_sleeper(RUNNING)
        await clock.advance(RUNNING)
        await container.asked.wait()
        await monitor.stop()

        await container.left.wait()
        assert monitor.status("e", "v1") is Status.IN_SERVICE
