"""How strict the monitor is, and that variants are watched each by itself."""

from __future__ import annotations

import logging

import pytest

from sagemaker_bidi.contract.errors import Refused
from sagemaker_bidi.contract.health import Status
from sagemaker_bidi.contract.settings import ContractSettings
from sagemaker_bidi.endpoints.monitor import Monitor
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.server import Ping
from tests.driven import DrivenClock, RawContainer
from tests.endpoints.monitored import (
    OK,
    RUNNING,
    endpoint,
    lines,
    serving,
    status,
    watching,
    works,
)

pytestmark = pytest.mark.clause("K4")


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
