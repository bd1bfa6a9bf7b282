"""Endpoints follow their containers' health, over real sockets and a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sagemaker_bidi.contract.errors import Refused
from sagemaker_bidi.contract.health import Status
from sagemaker_bidi_fixtures.containers.server import Ping
from tests.driven import DrivenClock, RawContainer, watcher_ended
from tests.endpoints.monitored import (
    OK,
    RUNNING,
    STARTING,
    echoes,
    endpoint,
    lines,
    monitor_of,
    refused,
    serving,
    status,
    watching,
    works,
)
from tests.transport.lean_client import LeanClient

pytestmark = pytest.mark.clause("K4")


async def test_a_container_that_answers_is_in_service_when_the_emulator_has_started(
    clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(Ping(200), clock) as (emulator, container):
        assert emulator.status("echo") == {"AllTraffic": Status.IN_SERVICE}
        assert await works(emulator)
    assert lines(caplog, logging.INFO) == [
        f"echo/AllTraffic: InService: GET {container.http_url}/ping answered 200 (K4)"
    ]


@pytest.mark.clause("O5")
async def test_an_endpoint_is_refused_with_400_until_its_container_passes_and_works_from_then_on(
    clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Ping(503), clock) as (emulator, container):
        assert status(emulator) is Status.CREATING
        assert await refused(emulator) == (
            400,
            "ValidationError",
            "Endpoint echo of account 123456789012 not found.",
        )
        (line,) = lines(caplog, logging.WARNING, "bidi.session")
        assert line.endswith(
            f"the endpoint is Creating: GET {container.http_url}/ping answered 503 (K4)"
        )
        assert container.requests == ()

        container.ping = Ping(200)
        await clock.pass_check(STARTING, then=RUNNING)
        assert status(emulator) is Status.IN_SERVICE
        assert await works(emulator)


@pytest.mark.clause("O4")
async def test_a_container_that_stops_answering_is_refused_with_424_until_it_recovers(
    clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Ping(200), clock) as (emulator, container):
        container.ping = Ping(500)
        await clock.pass_check(RUNNING)
        await clock.pass_check(RUNNING)
        assert status(emulator) is Status.IN_SERVICE
        assert await works(emulator)

        await clock.pass_check(RUNNING)
        assert status(emulator) is Status.UNHEALTHY
        assert await refused(emulator) == (
            424,
            "ModelError",
            "Received server error (424) from primary with message "
            '"Failed to establish WebSocket connection".',
        )
        line = lines(caplog, logging.WARNING, "bidi.session")[-1]
        assert line.endswith(
            f"the endpoint is Unhealthy: GET {container.http_url}/ping answered 500 (K4)"
        )

        container.ping = Ping(200)
        await clock.pass_check(RUNNING)
        assert status(emulator) is Status.IN_SERVICE
        assert await works(emulator)


async def test_an_open_stream_outlives_its_containers_health(clock: DrivenClock) -> None:
    async with (
        serving(Ping(200), clock) as (emulator, container),
        LeanClient(emulator.url, emulator.ca) as client,
    ):
        stream = await (await client.open()).opened()
        container.ping = Ping(500)
        for _ in range(3):
            await clock.pass_check(RUNNING)

        assert status(emulator) is Status.UNHEALTHY
        assert await echoes(stream)


@pytest.mark.clause("O5")
async def test_a_container_that_does_not_pass_for_8_minutes_fails_its_endpoint_for_good(
    clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Ping(503), clock) as (emulator, container):
        await clock.pass_check(STARTING)
        await clock.advance(479)
        await clock.wait_for_sleeper(STARTING)
        assert status(emulator) is Status.CREATING

        await clock.advance(STARTING)
        await watcher_ended()
        assert status(emulator) is Status.FAILED
        (line,) = lines(caplog, logging.ERROR)
        assert line.startswith(f"echo/AllTraffic: Failed: GET {container.http_url}/ping ")

        container.ping = Ping(200)
        await clock.advance(600)
        assert (await refused(emulator))[:2] == (400, "ValidationError")
        line = lines(caplog, logging.WARNING, "bidi.session")[-1]
        assert "the endpoint is Failed" in line
        assert line.endswith("start the container, then the emulator again")


async def test_the_status_of_an_endpoint_that_is_not_there_is_a_key_error(
    clock: DrivenClock,
) -> None:
    async with serving(Ping(200), clock) as (emulator, _):
        with pytest.raises(KeyError):
            emulator.status("nope")


# What a check is.


async def test_a_container_that_hangs_has_two_seconds_and_holds_the_start_no_longer(
    clock: DrivenClock,
) -> None:
    async with RawContainer(None) as container:
        monitor, variant = monitor_of(endpoint(container.url), clock)
        starting = asyncio.create_task(monitor.start())
        await clock.wait_for_sleeper(2.0)
        await clock.advance(2.0)
        await starting

        assert monitor.status("e", "v1") is Status.CREATING
        with pytest.raises(Refused) as caught:
            monitor.check_invocable("e", variant)
        assert "did not answer within 2 s" in caught.value.refusal.reason
        await monitor.stop()


async def test_checks_that_hang_count_as_failures(clock: DrivenClock) -> None:
    async with RawContainer(OK) as container, watching(container.url, clock) as (monitor, _):
        container.answer = None
        for expected in (Status.IN_SERVICE, Status.IN_SERVICE, Status.UNHEALTHY):
            await clock.pass_check(RUNNING, then=2.0)
            await clock.advance(2.0)
            await clock.wait_for_sleeper(RUNNING)
            assert monitor.status("e", "v1") is expected


async def test_a_container_that_went_away_is_unhealthy(clock: DrivenClock) -> None:
    async with RawContainer(OK) as container:
        monitor, variant = monitor_of(endpoint(container.url), clock)
        await monitor.start()
    for _ in range(3):
        await clock.pass_check(RUNNING)

    assert monitor.status("e", "v1") is Status.UNHEALTHY
    with pytest.raises(Refused, match="could not be reached"):
        monitor.check_invocable("e", variant)
    await monitor.stop()


async def test_a_container_under_an_unusable_name_is_reported_and_does_not_stop_the_start(
    clock: DrivenClock,
) -> None:
    async with watching("ws://a..b:8080", clock) as (monitor, variant):
        with pytest.raises(Refused, match=r"'a\.\.b' is no host name"):
            monitor.check_invocable("e", variant)


async def test_before_its_first_check_a_container_takes_no_invocation(clock: DrivenClock) -> None:
    monitor, variant = monitor_of(endpoint("ws://127.0.0.1:9"), clock)

    with pytest.raises(Refused, match="/ping has not been asked yet"):
        monitor.check_invocable("e", variant)
