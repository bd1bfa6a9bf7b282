"""Endpoints are found by name, container addresses are checked (O2, O5)."""

from __future__ import annotations

import pytest

from sagemaker_bidi.contract.errors import Refused
from sagemaker_bidi.endpoints.addresses import container_url
from sagemaker_bidi.endpoints.endpoints import (
    Endpoint,
    Endpoints,
    Variant,
    endpoints_from_urls,
)


@pytest.mark.clause("O8")
def test_an_endpoint_gives_the_variant_that_its_traffic_chooses() -> None:
    blue, green = Variant("blue", "ws://h:1", 0.0), Variant("green", "ws://h:2")
    endpoint = Endpoint("e", (blue, green))

    assert endpoint.choose(None) is green
    assert endpoint.choose("blue") is blue


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
