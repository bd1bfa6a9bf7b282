"""Endpoints share their traffic by weight; container addresses are checked (O2, O8)."""

from __future__ import annotations

from collections import Counter

import pytest

from sagemaker_bidi.contract.errors import Refused
from sagemaker_bidi.endpoints.endpoints import (
    Endpoint,
    Endpoints,
    Variant,
    container_url,
    endpoints_from_urls,
)


def endpoint(**weights: float) -> Endpoint:
    return Endpoint("e", tuple(Variant(n, "ws://h:1", weight) for n, weight in weights.items()))


@pytest.mark.clause("O8")
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
    shared = endpoint(**weights)

    assert Counter(shared.choose(None).name for _ in range(rounds)) == expected


@pytest.mark.clause("O8")
def test_the_shares_are_spread_and_not_sent_in_blocks() -> None:
    shared = endpoint(a=3.0, b=1.0)

    assert [shared.choose(None).name for _ in range(8)].index("b") < 4
    assert [shared.choose(None).name for _ in range(8)].count("b") == 2


@pytest.mark.clause("O8")
def test_a_target_variant_overrides_the_weights_and_leaves_them_as_they_are() -> None:
    shared = endpoint(a=1.0, b=0.0)

    assert shared.choose("b").name == "b"
    assert shared.choose(None).name == "a"


@pytest.mark.clause("O8")
def test_an_unknown_target_variant_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        endpoint(a=1.0).choose("c")

    assert caught.value.refusal.status == 400
    assert caught.value.refusal.type == "ValidationError"


@pytest.mark.clause("O5")
def test_an_unknown_endpoint_is_refused_and_the_reason_names_the_known_ones() -> None:
    known = Endpoints(endpoints_from_urls({"two": "ws://h:2", "one": "ws://h:1"}))
    with pytest.raises(Refused) as caught:
        known.find("three")

    assert caught.value.refusal.status == 400
    assert caught.value.refusal.reason.endswith("configured: one, two")
    assert [e.name for e in known] == ["two", "one"]
    assert known.find("one").variants == (Variant("AllTraffic", "ws://h:1"),)


@pytest.mark.clause("O2")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ws://127.0.0.1:9000", "ws://127.0.0.1:9000"),
        ("http://127.0.0.1:9000/", "ws://127.0.0.1:9000"),
        ("ws://model", "ws://model:8080"),
        ("ws://[::1]:8080", "ws://[::1]:8080"),
        ("ws://[::1]", "ws://[::1]:8080"),
    ],
)
def test_a_container_address_is_brought_to_one_form(given: str, expected: str) -> None:
    assert container_url(given) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("127.0.0.1:8080", "must begin with ws://"),
        ("wss://model:8080", "SageMaker uses no TLS"),
        ("ws://:8080", "names no host"),
        ("ws://user:pw@model:8080", "has a user or a password before the @, which nothing sends"),
        ("ws://pw@model:port", "'ws://…@model:port'"),
        ("ws://model:8080/v1/realtime", "X-Amzn-SageMaker-Model-Invocation-Path"),
        ("ws://model:8080?x=1", "has a path"),
        ("ws://model:99999", "Port out of range"),
        ("ws://model:port", "'ws://model:port'"),
        ("ws://[::1:8080", "'ws://[::1:8080'"),
        ("ws://model:0", "'ws://model:0'"),
    ],
)
def test_a_wrong_container_address_is_refused_with_what_is_wrong(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^container address ") as caught:
        container_url(given)

    assert said in str(caught.value)
