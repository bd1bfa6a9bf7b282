"""A request's path and headers are taken or refused as the service model says (W1, W2, O2, O9)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_bidi.contract.errors import Refusal, Refused
from sagemaker_bidi.contract.opening import (
    CONTAINER_PATH,
    INFERENCE_ID,
    INVOCATION_PATH,
    QUERY_STRING,
    SESSION_ID,
    TARGET_VARIANT,
    Invocation,
    read_invocation,
    read_route,
)

STREAM = ("content-type", "application/vnd.amazon.eventstream")


def read(endpoint: str = "speech", **headers: str) -> Invocation:
    named = {
        "variant": TARGET_VARIANT,
        "path": INVOCATION_PATH,
        "query": QUERY_STRING,
        "inference_id": INFERENCE_ID,
        "session_id": SESSION_ID,
    }
    return read_invocation(endpoint, [STREAM, *((named[k], v) for k, v in headers.items())])


def refused(endpoint: str = "speech", **headers: str) -> Refusal:
    with pytest.raises(Refused) as caught:
        read(endpoint, **headers)
    return caught.value.refusal


# --- the request's line ---------------------------------------------------------------------


@pytest.mark.clause("W1")
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/endpoints/speech/invocations-bidirectional-stream", "speech"),
        ("/endpoints/a%2Fb/invocations-bidirectional-stream", "a/b"),
        ("/endpoints//invocations-bidirectional-stream", ""),
    ],
)
def test_the_path_names_the_endpoint(path: str, name: str) -> None:
    assert read_route("POST", path) == name


@pytest.mark.clause("W1")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/endpoints/speech/invocations-bidirectional-stream"),
        ("post", "/endpoints/speech/invocations-bidirectional-stream"),
        ("POST", "/endpoints/speech/invocations"),
        ("POST", "/endpoints/speech/invocations-bidirectional-stream/"),
        ("POST", "/endpoints/a/b/invocations-bidirectional-stream"),
        ("POST", "/endpoints/speech/invocations-bidirectional-stream\n"),
        ("POST", "/prefix/endpoints/speech/invocations-bidirectional-stream"),
        ("POST", "/ping"),
        ("POST", ""),
    ],
)
def test_any_other_request_is_an_unknown_operation(method: str, path: str) -> None:
    with pytest.raises(Refused) as caught:
        read_route(method, path)
    refusal = caught.value.refusal
    assert (refusal.status, refusal.type) == (404, "UnknownOperationException")
    assert f"received {method} {path};" in refusal.reason


# --- the content type -----------------------------------------------------------------------


@pytest.mark.clause("W1")
@pytest.mark.parametrize(
    "value",
    ["application/vnd.amazon.eventstream", "Application/VND.Amazon.EventStream ; charset=utf-8"],
)
def test_the_event_streams_content_type_is_taken(value: str) -> None:
    assert read_invocation("speech", [("content-type", value)]).endpoint == "speech"


@pytest.mark.clause("W1")
@pytest.mark.parametrize("headers", [[], [("content-type", "application/json")]])
def test_another_content_type_or_none_is_refused_with_415(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(Refused) as caught:
        read_invocation("speech", headers)
    refusal = caught.value.refusal
    assert (refusal.status, refusal.type) == (415, "UnsupportedMediaTypeException")
    assert repr(dict(headers).get("content-type", "")) in refusal.reason


# --- patterns and lengths -------------------------------------------------------------------


@pytest.mark.clause("W2")
@pytest.mark.parametrize("name", ["a", "7", "speech-1", "a---b", "x" * 63])
def test_names_within_the_pattern_are_taken(name: str) -> None:
    invocation = read(name, variant=name)
    assert (invocation.endpoint, invocation.target_variant) == (name, name)


@pytest.mark.clause("W2")
@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a_b", "a.b", "a b", "a/b", "a\n", "größe", "\N{FULLWIDTH DIGIT ONE}"]
)
@pytest.mark.parametrize("member", ["endpointName", "targetVariant"])
def test_names_outside_the_pattern_are_refused_with_400(name: str, member: str) -> None:
    refusal = refused(name) if member == "endpointName" else refused(variant=name)
    assert (refusal.status, refusal.type, refusal.clause) == (400, "InputValidationError", "W2")
    assert f"Value '{name}' at '{member}' failed to satisfy constraint" in refusal.message
    assert "^[a-zA-Z0-9](-*[a-zA-Z0-9])*" in refusal.message
    assert json.loads(refusal.body())["ErrorCode"] == "VALIDATION_ERROR"


@pytest.mark.clause("W2")
@pytest.mark.parametrize(
    ("header", "longest", "value"),
    [("variant", 63, "x"), ("path", 100, "x"), ("query", 2048, "a=")],
)
def test_the_longest_value_is_taken_and_one_more_is_refused(
    header: str, longest: int, value: str
) -> None:
    read(**{header: value.ljust(longest, "x")})
    refusal = refused(**{header: value.ljust(longest + 1, "x")})
    assert refusal.type == "InputValidationError"
    assert f"length less than or equal to {longest} (it has {longest + 1})" in refusal.message


@pytest.mark.clause("W2")
def test_an_endpoint_name_of_64_characters_is_refused() -> None:
    assert "'endpointName'" in refused("x" * 64).message


@pytest.mark.clause("O2")
@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({}, CONTAINER_PATH),
        ({"path": "v1/realtime"}, "/v1/realtime"),
        ({"path": "a-b_c.d"}, "/a-b_c.d"),
        ({"query": "a=1&b_2-c=%2F.~_-&d=e"}, f"{CONTAINER_PATH}?a=1&b_2-c=%2F.~_-&d=e"),
        ({"path": "v1/realtime", "query": "model=x"}, "/v1/realtime?model=x"),
    ],
)
def test_invocation_path_and_query_decide_on_the_containers_path(
    headers: dict[str, str], target: str
) -> None:
    assert read(**headers).container_path == target


@pytest.mark.clause("W2")
@pytest.mark.parametrize(
    "path", ["", "/v1/realtime", "v1/", "v1//x", "v1?x=1", "a b", "a%20b", "ü"]
)
def test_a_path_outside_the_pattern_is_refused_a_leading_slash_too(path: str) -> None:
    refusal = refused(path=path)
    assert refusal.status == 400
    assert f"Value '{path}' at 'modelInvocationPath'" in refusal.message


@pytest.mark.clause("W2")
@pytest.mark.parametrize(
    "query",
    [
        *("", "a", "a=", "=b", "_a=b", "a=b&", "a=b&c", "a=b&c=", "c=&a=b", "&a=b", "a=b&&c=d"),
        *("a=b c", "a=%2", "a=%zz", "?a=b", "a=b#c"),
    ],
)
def test_a_query_outside_the_pattern_is_refused(query: str) -> None:
    assert f"Value '{query}' at 'modelQueryString'" in refused(query=query).message


@pytest.mark.clause("W2")
@pytest.mark.parametrize("headers", [{"path": ""}, {"query": ""}, {"path": "", "query": ""}])
def test_an_empty_header_counts_as_none_where_it_is_ignored(headers: dict[str, str]) -> None:
    named = {"path": INVOCATION_PATH, "query": QUERY_STRING}
    given = [STREAM, *((named[name], value) for name, value in headers.items())]
    assert read_invocation("speech", given, ignore_empty=True).container_path == CONTAINER_PATH
    with pytest.raises(Refused):
        read_invocation("speech", given)


@pytest.mark.clause("W2")
def test_a_header_that_is_not_empty_is_checked_where_empty_ones_are_ignored() -> None:
    with pytest.raises(Refused):
        read_invocation("speech", [STREAM, (QUERY_STRING, "a=")], ignore_empty=True)


@pytest.mark.clause("W2")
@given(*[st.text("aB7-_.~%/?&=# \\\n\r\tü", min_size=1, max_size=12)] * 2)
def test_no_header_leads_to_another_target_than_a_path_of_the_container(
    path: str, query: str
) -> None:
    try:
        invocation = read(path=path, query=query)
    except Refused as refused:
        outcome = refused.refusal.type
    else:
        outcome = invocation.container_path
    if outcome != "InputValidationError":
        assert outcome == f"/{path}?{query}"
        assert outcome.isascii()
        assert not set(outcome) & set(" \r\n\t#\\")


@pytest.mark.clause("O8")
def test_no_variant_header_leaves_the_choice_to_the_endpoint() -> None:
    assert read().target_variant is None


# --- what the container gets to see ---------------------------------------------------------


@pytest.mark.clause("O9")
def test_inference_and_session_id_are_forwarded_where_they_are_given() -> None:
    assert read().forwarded == ()
    assert read(session_id="s").forwarded == ((SESSION_ID, "s"),)
    assert read(session_id="s", inference_id="i").forwarded == (
        (INFERENCE_ID, "i"),
        (SESSION_ID, "s"),
    )


@pytest.mark.clause("O9")
def test_other_headers_of_the_client_are_stripped() -> None:
    headers = [STREAM, ("authorization", "x"), ("x-mine", "y"), (TARGET_VARIANT, "blue")]
    assert read_invocation("speech", headers).forwarded == ()
