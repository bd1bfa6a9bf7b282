"""Endpoints follow their containers' health, over real sockets and a clock that the test moves."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from emulator import Config, Emulator
from emulator.clock import Clock, ScaledClock
from emulator.contract.errors import Refused
from emulator.contract.health import Status, Strictness
from emulator.contract.settings import ContractSettings
from emulator.hosting.endpoints import Endpoint, Variant
from emulator.hosting.monitor import Monitor
from fixtures.containers.echo import EchoContainer
from fixtures.containers.server import Ping
from tests.hosting.driven import DrivenClock, RawContainer, watcher_ended
from tests.transport.lean_client import LeanClient, LeanStream

pytestmark = pytest.mark.clause("K4")

STARTING, RUNNING = 0.5, 5.0
OK = b"HTTP/1.1 200 OK\r\n\r\n"


def endpoint(*urls: str) -> Endpoint:
    return Endpoint("e", tuple(Variant(f"v{n}", url) for n, url in enumerate(urls, 1)))


def monitor_of(
    hosted: Endpoint, clock: Clock, strictness: Strictness = "strict"
) -> tuple[Monitor, Variant]:
    return Monitor([hosted], ContractSettings(), clock, strictness), hosted.variants[0]


@asynccontextmanager
async def watching(
    url: str, clock: Clock, strictness: Strictness = "strict"
) -> AsyncIterator[tuple[Monitor, Variant]]:
    monitor, variant = monitor_of(endpoint(url), clock, strictness)
    await monitor.start()
    try:
        yield monitor, variant
    finally:
        await monitor.stop()


@asynccontextmanager
async def serving(
    ping: Ping, clock: Clock, *, health: Strictness = "strict"
) -> AsyncIterator[tuple[Emulator, EchoContainer]]:
    # The client signs with wall time, which a test's clock runs away from.
    config = Config(port=0, health=health, contract={"max_skew": 10_000})
    async with (
        EchoContainer(port=0, ping=ping) as container,
        Emulator({"echo": container.url}, config=config, clock=clock) as emulator,
    ):
        yield emulator, container


def status(emulator: Emulator) -> Status:
    (only,) = emulator.status("echo").values()
    return only


async def refused(emulator: Emulator) -> tuple[int, str, str]:
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await client.open()
        body = json.loads(await stream.finished())
        return stream.status, stream.headers["x-amzn-errortype"], body["Message"]


async def echoes(stream: LeanStream) -> bool:
    await stream.send(b"hello")
    event = await stream.receive()
    return event is not None and event.message.payload == b"hello"


async def works(emulator: Emulator) -> bool:
    async with LeanClient(emulator.url, emulator.ca) as client:
        return await echoes(await client.open())


def lines(caplog: pytest.LogCaptureFixture, level: int, logger: str = "bidi.hosting") -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelno) == (logger, level)
    ]


# Through the emulator.


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


# Strict, lenient, off.


async def test_lenient_takes_a_container_without_ping_and_says_that_sagemaker_would_not(
    clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Ping(404), clock, health="lenient") as (emulator, _):
        assert status(emulator) is Status.IN_SERVICE
        assert await works(emulator)
    (line,) = lines(caplog, logging.WARNING)
    assert "/ping answered 404, not 200: SageMaker would never bring" in line
    assert "(K4)" in line


async def test_strict_keeps_a_container_without_ping_out_of_service(clock: DrivenClock) -> None:
    async with serving(Ping(404), clock) as (emulator, _):
        assert status(emulator) is Status.CREATING


async def test_lenient_warns_of_nothing_where_ping_answers_200(
    echo: EchoContainer, clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(echo.url, clock, "lenient") as (monitor, _):
        assert monitor.status("e", "v1") is Status.IN_SERVICE
    assert lines(caplog, logging.WARNING) == []


async def test_off_asks_nobody_and_takes_every_container_as_in_service(clock: DrivenClock) -> None:
    async with RawContainer(None) as container:
        async with watching(container.url, clock, "off") as (monitor, variant):
            assert monitor.statuses("e") == {"v1": Status.IN_SERVICE}
            monitor.check_invocable("e", variant)
        assert container.requests == []


# Variants.


async def test_each_variant_has_its_own_health(echo: EchoContainer, clock: DrivenClock) -> None:
    async with RawContainer(OK) as other:
        hosted = endpoint(echo.url, other.url)
        monitor = Monitor([hosted], ContractSettings(), clock, "strict")
        await monitor.start()
        other.answer = b"HTTP/1.1 503 Busy\r\n\r\n"
        for _ in range(3):
            seen = len(other.requests)
            await clock.advance(RUNNING)
            await clock.wait_for_sleepers(2, RUNNING)
            assert len(other.requests) == seen + 1

        assert monitor.statuses("e") == {"v1": Status.IN_SERVICE, "v2": Status.UNHEALTHY}
        monitor.check_invocable("e", hosted.variants[0])
        with pytest.raises(Refused):
            monitor.check_invocable("e", hosted.variants[1])
        await monitor.stop()


async def test_a_hanging_container_delays_no_other_ones_checks(
    echo: EchoContainer, clock: DrivenClock
) -> None:
    async with RawContainer(OK) as stuck:
        monitor = Monitor([endpoint(stuck.url, echo.url)], ContractSettings(), clock, "strict")
        await monitor.start()
        stuck.answer = None
        await clock.wait_for_sleepers(2, RUNNING)
        await clock.advance(RUNNING)
        await clock.wait_for_sleeper(RUNNING)

        assert monitor.statuses("e") == {"v1": Status.IN_SERVICE, "v2": Status.IN_SERVICE}
        await monitor.stop()


# The log.


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
