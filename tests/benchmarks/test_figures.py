"""The arithmetic of the benchmarks' tables."""

from __future__ import annotations

import pytest

from benchmarks.figures import per_session, percentile, rate, ratio, spread
from benchmarks.measure.capacity import largest


def test_the_median_of_three_is_the_middle_one() -> None:
    assert percentile([1, 2, 9], 0.5) == 2


def test_p99_of_a_hundred_samples_is_the_99th() -> None:
    assert percentile(range(1, 101), 0.99) == 99


def test_the_largest_share_is_the_largest_sample_and_the_smallest_the_smallest() -> None:
    assert (percentile([3, 4, 5], 1), percentile([3, 4, 5], 0)) == (5, 3)


def test_one_sample_is_every_percentile() -> None:
    assert {percentile([7], share) for share in (0, 0.5, 0.99, 1)} == {7}


@pytest.mark.parametrize(("samples", "share"), [([], 0.5), ([1], 1.5), ([1], -0.1)])
def test_a_percentile_of_nothing_or_of_no_share_is_refused(
    samples: list[float], share: float
) -> None:
    with pytest.raises(ValueError, match=r"sample|share"):
        percentile(samples, share)


def test_a_spread_gives_milliseconds_of_microseconds_in_any_order() -> None:
    assert spread([3000, 1000, 2000]) == {
        "samples": 3,
        "p50": 2.0,
        "p99": 3.0,
        "p999": None,
        "max": 3.0,
    }


def test_p999_is_told_only_of_a_thousand_samples_and_more() -> None:
    assert spread(range(1, 1000))["p999"] is None
    assert spread(range(1, 1001))["p999"] == pytest.approx(0.999)


def test_a_ratio_needs_both_its_numbers() -> None:
    assert ratio(3.0, 2.0) == 1.5
    assert ratio(None, 2.0) is None
    assert ratio(3.0, None) is None
    assert ratio(3.0, 0.0) is None


def test_a_rate_needs_time() -> None:
    assert rate(10, 4) == 2.5
    assert rate(10, 0) is None


def test_memory_of_a_session_is_counted_from_the_base_not_from_the_level_before() -> None:
    points = [(0, 1000 * 1024), (10, 1500 * 1024), (100, 6000 * 1024)]
    assert per_session(points) == [(10, 50.0), (100, 50.0)]


@pytest.mark.parametrize("limit", [0, 1, 49, 99, 100, 101, 731, 1599])
def test_the_search_comes_within_its_step_of_the_limit_and_never_above(limit: int) -> None:
    found = largest(lambda number: number <= limit, first=100, most=1600, step=0.05)
    assert limit - max(1, int(0.05 * limit)) <= found <= limit


def test_the_search_stops_at_the_most_it_may_try() -> None:
    tried: list[int] = []

    def passes(number: int) -> bool:
        tried.append(number)
        return True

    assert largest(passes, first=100, most=1600, step=0.05) == 1600
    assert max(tried) == 1600


def test_the_search_tries_no_number_twice() -> None:
    tried: list[int] = []

    def passes(number: int) -> bool:
        tried.append(number)
        return number <= 730

    largest(passes, first=100, most=3200, step=0.06)
    assert len(tried) == len(set(tried)) <= 9
