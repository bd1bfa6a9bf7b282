"""When a container that ends is started again, and when not; no Docker is needed."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from sagemaker_bidi.clock import Clock, RealClock
from sagemaker_bidi.containers import hosted
from sagemaker_bidi.containers.hosted import HostedContainer, ImageRun


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of Docker but what a test answers."""

    async def ending(name: str, code: int) -> str:
        return str(code)

    monkeypatch.setattr(hosted, "ending_of", ending)


class NoWaiting(RealClock):
    """A clock that has always come to where it is waited for."""

    async def sleep_until(self, when: float) -> None: ...


class Lived(HostedContainer):
    """A container that lives as it is told.

    Args:
        healthy: for each of its lives whether it gets healthy.
        removed: whether somebody removes it in the last of them; else it is told to stop.
    """

    def __init__(
        self,
        healthy: Sequence[bool],
        *,
        removed: bool = False,
        clock: Clock | None = None,
        startup: float = 480.0,
    ) -> None:
        super().__init__(ImageRun("image"), clock=clock or NoWaiting(), startup=startup)
        self._began = self._clock.now()
        self._to_live = list(healthy)
        self._removed = removed

    async def live(self) -> None:
        await self._live()

    async def _one_life(self) -> int:
        if self._to_live.pop(0):
            self._was_healthy = True
            self._healthy.set()
        if not self._to_live and not self._removed:
            self._stopping.set()
        return 137

    async def _state(self) -> str:
        return "exited" if self._to_live else ""


@pytest.mark.clause("K4")
async def test_the_pause_before_a_restart_doubles_until_the_container_was_healthy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, "bidi.hosting"):
        await Lived([False, False, False, True, False, True]).live()
    pauses = [record.getMessage().rpartition("here in ")[2] for record in caplog.records]
    assert pauses == ["0.5 s", "1 s", "2 s", "0.5 s", "1 s"]


async def test_a_container_that_somebody_has_removed_is_named_and_not_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    container = Lived([True], removed=True)
    with caplog.at_level(logging.ERROR, "bidi.hosting"):
        await container.live()
    (record,) = caplog.records
    assert f"voxtral: the container {container.name} has been removed" in record.getMessage()
    assert container.starts == 1


class Pauses(RealClock):
    """A clock that comes to where it is waited for, and so past the time to get healthy."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    async def sleep_until(self, when: float) -> None:
        self._now = max(self._now, when)


@pytest.mark.clause("K4")
async def test_a_container_whose_time_is_over_while_it_waits_has_no_life_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    container = Lived([False, False, False, False], clock=Pauses(), startup=3.0)
    await container.live()
    # After pauses of 0.5, 1 and 2 s.
    assert container.starts == 3
    assert "ended with 137, was started 3 times, and was never healthy" in caplog.messages[-1]
