"""Chunks leave on an absolute schedule."""

import math

import pytest

from sagemaker_bidi_client.pacing import paced


class Time:
    """A clock that only sleeping, and the test, move on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.oversleep = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + (self.oversleep if seconds else 0)


async def leave_times(time: Time, count: int, speed: float = 1.0, work: float = 0.0) -> list[float]:
    times = []
    chunks = [bytes([number]) for number in range(count)]
    async for index, chunk in paced(chunks, 0.128, speed=speed, clock=time.clock, sleep=time.sleep):
        assert chunk == bytes([index])
        times.append(round(time.now - 1000.0, 6))
        time.now += work
    return times


async def test_chunk_k_leaves_at_k_times_its_length() -> None:
    assert await leave_times(Time(), 5) == [0, 0.128, 0.256, 0.384, 0.512]


async def test_speed_shortens_the_schedule() -> None:
    assert await leave_times(Time(), 3, speed=4) == [0, 0.032, 0.064]


async def test_late_sleeps_do_not_add_up() -> None:
    time = Time()
    time.oversleep = 0.01
    times = await leave_times(time, 200)
    assert times[-1] == pytest.approx(199 * 0.128 + 0.01)


async def test_work_between_chunks_does_not_add_up() -> None:
    times = await leave_times(Time(), 100, work=0.1)
    assert times[-1] == pytest.approx(99 * 0.128)


async def test_a_sender_that_was_held_up_catches_up() -> None:
    time = Time()
    times = []
    async for index, _ in paced([b"x"] * 10, 0.1, clock=time.clock, sleep=time.sleep):
        times.append(round(time.now - 1000.0, 6))
        if index == 1:
            time.now += 0.5
    assert times == [0, 0.1, 0.6, 0.6, 0.6, 0.6, 0.6, 0.7, 0.8, 0.9]


@pytest.mark.parametrize("speed", [0, math.inf])
async def test_as_fast_as_it_goes_never_waits_and_still_lets_others_run(speed: float) -> None:
    time = Time()
    assert await leave_times(time, 4, speed=speed) == [0, 0, 0, 0]
    assert time.slept == [0, 0, 0, 0]


@pytest.mark.parametrize("speed", [-1, math.nan])
async def test_a_speed_that_makes_no_sense_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        await anext(paced([b"x"], 0.128, speed=speed))


async def test_a_chunk_has_to_last() -> None:
    with pytest.raises(ValueError, match="more than 0 s"):
        await anext(paced([b"x"], 0.0))
