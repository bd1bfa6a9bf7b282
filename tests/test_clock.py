"""The clocks: real, scaled, and driven by a test."""

from __future__ import annotations

import asyncio
import time

import pytest

from sagemaker_bidi import ManualClock, RealClock, ScaledClock
from sagemaker_bidi.clock import first_of


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


async def test_what_is_done_in_time_gives_its_result_and_leaves_no_sleeper() -> None:
    clock = ManualClock()
    async with clock.within(1.0):
        given = await asyncio.sleep(0, "given")
    await clock.advance(2.0)

    assert given == "given"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_is_not_done_in_time_is_cancelled_and_has_ended_when_that_is_told() -> None:
    clock = ManualClock()
    ended: list[float] = []

    async def slow() -> None:
        async with clock.within(1.0):
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.append(clock.now())

    task = asyncio.create_task(slow())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await clock.advance(0.9)
    assert not task.done()
    await clock.advance(0.1)

    with pytest.raises(TimeoutError):
        await task
    assert ended == [1.0]


async def test_an_error_within_the_time_is_told_as_it_is() -> None:
    with pytest.raises(ConnectionResetError, match="lost"):
        async with ManualClock().within(1.0):
            raise ConnectionResetError("lost")


async def test_a_cancellation_from_outside_is_no_timeout() -> None:
    clock = ManualClock()

    async def waiting() -> None:
        async with clock.within(1.0):
            await asyncio.Event().wait()

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_limit_waits_for_as_long_as_it_takes() -> None:
    clock = ManualClock()
    done = asyncio.Event()

    async def waiting() -> str:
        async with clock.within(None):
            await done.wait()
            return "done"

    task = asyncio.create_task(waiting())
    await clock.advance(1e9)
    done.set()
    assert await task == "done"


async def test_seconds_of_a_scaled_clock_pass_faster_than_the_walls() -> None:
    wall = time.monotonic()
    with pytest.raises(TimeoutError):
        async with ScaledClock(1000).within(20.0):
            await asyncio.Event().wait()

    assert time.monotonic() - wall < 10.0


async def test_the_first_of_several_counts_and_the_others_have_ended() -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    assert await first_of(slow(), asyncio.sleep(0, "first")) == "first"
    assert ended.is_set()


async def test_the_earliest_named_of_what_is_done_at_once_counts_and_its_error_is_told() -> None:
    async def fails() -> None:
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        await first_of(fails(), asyncio.sleep(0, "too"))


async def test_a_cancelled_wait_for_the_first_of_several_ends_them_all() -> None:
    ended: list[str] = []

    async def slow(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    task = asyncio.create_task(first_of(slow("one"), slow("other")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["one", "other"]
