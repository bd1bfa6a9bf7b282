"""The clocks: real, scaled, and driven by a test."""

from __future__ import annotations

import asyncio
import time

import pytest

from sagemaker_bidi import ManualClock, RealClock, ScaledClock


async def test_the_real_clock_sleeps_until_its_deadline_and_not_at_all_for_a_past_one() -> None:
    clock = RealClock()
    began = clock.now()
    await clock.sleep_until(began + 0.02)
    assert clock.now() >= began + 0.02
    await clock.sleep_until(began)

    assert clock.unscaled is clock
    assert abs(clock.utc() - time.time()) < 1.0


async def test_a_scaled_clock_runs_faster_than_the_wall() -> None:
    clock = ScaledClock(1000)
    began, wall = clock.now(), time.monotonic()
    await clock.sleep_until(began + 20)
    took = time.monotonic() - wall

    assert clock.now() >= began + 20 - 1e-6
    assert 0.015 <= took < 1.0


def test_a_scaled_clock_leaves_signatures_and_other_parties_on_wall_time() -> None:
    clock = ScaledClock(1000)

    assert abs(clock.utc() - time.time()) < 1.0
    assert isinstance(clock.unscaled, RealClock)


@pytest.mark.parametrize("scale", [0, -1, float("nan")])
def test_a_scale_must_be_more_than_nothing(scale: float) -> None:
    with pytest.raises(ValueError, match="time scale must be more than 0"):
        ScaledClock(scale)


async def test_a_manual_clock_wakes_sleepers_in_order_each_at_its_own_time() -> None:
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, deadline: float) -> None:
        await clock.sleep_until(deadline)
        woken.append((name, clock.now()))

    async with asyncio.TaskGroup() as group:
        for name, deadline in (("b", 2.0), ("a", 1.0), ("c", 3.0), ("same", 2.0)):
            group.create_task(sleeper(name, deadline))
        await asyncio.sleep(0)
        await clock.advance(2.5)
        assert woken == [("a", 1.0), ("b", 2.0), ("same", 2.0)]
        assert clock.now() == 2.5
        await clock.advance(0.5)
    assert woken[-1] == ("c", 3.0)


async def test_a_manual_clock_lets_a_sleeper_sleep_again_within_one_advance() -> None:
    clock = ManualClock()
    ticks: list[float] = []

    async def metronome() -> None:
        for tick in range(1, 6):
            await clock.sleep_until(float(tick))
            ticks.append(clock.now())

    task = asyncio.create_task(metronome())
    await asyncio.sleep(0)
    await clock.advance(10.0)
    await task

    assert ticks == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_a_manual_clock_never_wakes_a_cancelled_sleeper() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep_until(1.0))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await clock.advance(2.0)

    assert task.cancelled()
    assert clock.now() == 2.0


async def test_a_manual_clocks_past_deadline_returns_at_once() -> None:
    clock = ManualClock(utc=1_000.0)
    await clock.advance(5.0)
    await clock.sleep_until(5.0)

    assert clock.utc() == 1_005.0
    assert clock.unscaled is clock


async def test_a_manual_clock_does_not_go_back() -> None:
    clock = ManualClock()
    await clock.advance(5.0)
    with pytest.raises(ValueError, match="go back"):
        await clock.advance(-1.0)

    assert clock.now() == 5.0
