"""Variants share their endpoint's traffic by weight, and a client may name one (O8)."""

from __future__ import annotations

from collections import Counter

import pytest

from sagemaker_bidi.contract.errors import Refused
from sagemaker_bidi.contract.traffic import Traffic

pytestmark = pytest.mark.clause("O8")


def traffic(**weights: float) -> Traffic:
    return Traffic("e", list(weights.items()))


@pytest.mark.parametrize(
    ("weights", "rounds", "expected"),
    [
        ({"a": 1.0}, 5, {"a": 5}),
        ({"a": 9.0, "b": 1.0}, 100, {"a": 90, "b": 10}),
        ({"a": 1.0, "b": 1.0, "c": 2.0}, 40, {"a": 10, "b": 10, "c": 20}),
        ({"a": 0.7, "b": 0.3}, 1000, {"a": 700, "b": 300}),
        ({"a": 0.0, "b": 1.0}, 50, {"b": 50}),
    ],
)
def test_traffic_is_shared_exactly_by_weight(
    weights: dict[str, float], rounds: int, expected: dict[str, int]
) -> None:
    shared = traffic(**weights)

    assert Counter(shared.choose(None) for _ in range(rounds)) == expected


def test_the_shares_are_spread_and_not_sent_in_blocks() -> None:
    shared = traffic(a=3.0, b=1.0)

    assert [shared.choose(None) for _ in range(8)].index("b") < 4
    assert [shared.choose(None) for _ in range(8)].count("b") == 2


def test_a_target_variant_overrides_the_weights_and_leaves_them_as_they_are() -> None:
    shared = traffic(a=1.0, b=0.0)

    assert shared.choose("b") == "b"
    assert shared.choose(None) == "a"


def test_an_unknown_target_variant_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        traffic(a=1.0).choose("c")

    assert caught.value.refusal.status == 400
    assert caught.value.refusal.type == "ValidationError"


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ([("a", 1.0), ("a", 2.0)], "two variants share a name: a, a"),
        ([("a", 0.0), ("b", 0.0)], "every weight is 0"),
        ([], "every weight is 0"),
    ],
)
def test_variants_of_which_none_could_be_chosen_are_refused(
    variants: list[tuple[str, float]], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Traffic("e", variants)
