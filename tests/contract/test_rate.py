"""A bucket lets a burst pass and stops a flood, whenever it is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_bidi.contract.rate import Bucket

_pauses = st.lists(st.floats(0.0, 10.0), max_size=30)


def taken(bucket: Bucket, now: float, wanted: int) -> int:
    return sum(bucket.take(now) for _ in range(wanted))


def test_a_burst_is_there_from_the_start_and_comes_back_with_time() -> None:
    bucket = Bucket(2.0, 10.0, 100.0)
    assert taken(bucket, 100.0, 20) == 10
    assert taken(bucket, 100.4, 20) == 0
    assert taken(bucket, 101.5, 20) == 3
    assert taken(bucket, 1000.0, 20) == 10


def test_what_is_saved_may_be_more_than_a_burst_until_it_is_taken() -> None:
    bucket = Bucket(2.0, 10.0, 0.0)
    bucket.save(5.0)
    assert taken(bucket, 6.0, 100) == 20
    assert taken(bucket, 1000.0, 100) == 10


def test_what_is_given_back_is_never_more_than_a_burst() -> None:
    bucket = Bucket(1.0, 10.0, 0.0)
    assert bucket.take(0.0, 10.0)
    assert not bucket.take(0.0, 0.5)
    bucket.give(2.5)
    assert bucket.take(0.0, 2.5)
    bucket.give(99.0)
    assert taken(bucket, 0.0, 50) == 10


@pytest.mark.clause("K5")
@given(rate=st.floats(0.1, 100.0), burst=st.floats(1.0, 100.0), pauses=_pauses)
def test_no_more_than_the_burst_and_the_rate_are_ever_taken(
    rate: float, burst: float, pauses: list[float]
) -> None:
    bucket = Bucket(rate, burst, 0.0)
    now, count = 0.0, 0
    for pause in pauses:
        now += pause
        count += taken(bucket, now, 50)
        assert count <= burst + now * rate + 1e-6
