"""A request signed by the AWS SDK or botocore is let in; one that was touched is told why not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from sagemaker_bidi.contract.sigv4.request import SignedRequest, VerifiedRequest
from tests.contract.signed_requests import (
    HEADERS,
    KEY,
    MISMATCH,
    NOW,
    TEMPORARY,
    authority_request,
    botocore_request,
    refusal,
    sdk_request,
    verify,
    with_authorization,
    with_header,
)

pytestmark = [pytest.mark.clause("W4"), pytest.mark.clause("O6")]


async def test_a_request_signed_by_the_sdk_is_verified() -> None:
    request = await sdk_request()
    verified = verify(request)
    authorization = request.header("authorization")
    assert authorization is not None
    assert verified == VerifiedRequest(
        access_key_id="AKIDEXAMPLE",
        known=True,
        region="us-east-1",
        service="sagemaker",
        date="20260304",
        signature=authorization.partition("Signature=")[2],
    )


def test_a_request_signed_by_botocore_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verify(botocore_request(monkeypatch)).known


def test_a_request_that_signs_the_authority_in_place_of_the_host_is_verified() -> None:
    request = authority_request()
    assert verify(request).known
    assert refusal(with_header(request, "host", "localhost:8444")).message == MISMATCH


@pytest.mark.parametrize(
    "url",
    [
        "https://runtime.sagemaker.us-east-1.amazonaws.com:8443/endpoints/a-1/x",
        "https://localhost/endpoints/e/x",
        "https://localhost:443/endpoints/e/x",
        "https://[::1]:8443/endpoints/e/x",
        "https://localhost:8443/",
        "https://localhost:8443/endpoints/a%20b/x",
        "https://localhost:8443/endpoints/~a_b.c/x/",
        "https://localhost:8443/endpoints/./e/../f/x",
        "https://localhost:8443/endpoints/e/x?b=2&a=1&a=0",
        "https://localhost:8443/endpoints/e/x?flag=&k=%2F~",
    ],
)
async def test_both_signers_canonical_forms_are_understood(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verify(await sdk_request(url)).known
    assert verify(botocore_request(monkeypatch, url)).known


async def test_a_host_may_be_signed_without_the_default_port_that_is_sent() -> None:
    request = await sdk_request("https://localhost/endpoints/e/x", authority="localhost:443")
    assert verify(request).known


async def test_another_port_must_be_signed() -> None:
    request = await sdk_request("https://localhost/endpoints/e/x", authority="localhost:8443")
    assert refusal(request).message == MISMATCH


async def test_runs_of_spaces_in_a_header_do_not_matter() -> None:
    request = await sdk_request(headers={**HEADERS, "x-note": " one  two   three "})
    assert verify(with_header(request, "x-note", "one two three")).known


async def test_the_values_of_a_repeated_header_are_joined() -> None:
    request = await sdk_request(headers={**HEADERS, "x-note": "one,two"})
    headers = (*with_header(request, "x-note", "one").headers, ("x-note", "two"))
    assert verify(replace(request, headers=headers)).known


@pytest.mark.parametrize("header", ["user-agent", "accept-encoding", "te"])
async def test_a_header_that_is_not_signed_may_change(header: str) -> None:
    assert verify(with_header(await sdk_request(), header, "another")).known


@pytest.mark.parametrize("region", ["us-east-1", None])
async def test_temporary_credentials_need_their_token(region: str | None) -> None:
    assert verify(await sdk_request(key=TEMPORARY), TEMPORARY, region=region).known


async def test_any_region_passes_when_none_is_asked_for() -> None:
    request = await sdk_request(region="eu-central-1")
    assert verify(request, region=None).region == "eu-central-1"


@pytest.mark.parametrize("skew", [-300, 300])
async def test_a_clock_may_be_five_minutes_off(skew: int) -> None:
    assert verify(await sdk_request(), now=NOW + skew).known


async def test_a_slow_clock_is_told_by_how_much() -> None:
    error = refusal(await sdk_request(), now=NOW + 301)
    assert (error.type, error.message) == (
        "InvalidSignatureException",
        "Signature expired: 20260304T050607Z is now earlier than 20260304T050608Z "
        "(20260304T051108Z - 5 min.)",
    )
    assert error.detail == "signed -301 s from now, 300 s either way are allowed"


async def test_a_fast_clock_is_told_by_how_much() -> None:
    error = refusal(await sdk_request(), now=NOW - 301)
    assert (error.type, error.message) == (
        "InvalidSignatureException",
        "Signature not yet current: 20260304T050607Z is still later than 20260304T050606Z "
        "(20260304T050106Z + 5 min.)",
    )


@pytest.mark.parametrize(
    "mutate",
    [
        lambda r: with_header(r, "x-amzn-sagemaker-target-variant", "Other"),
        lambda r: with_header(r, "x-amzn-sagemaker-target-variant", None),
        lambda r: with_header(r, "host", "elsewhere:8443"),
        lambda r: with_header(r, "host", None),
        lambda r: with_header(r, "x-amz-date", "20260304T050608Z"),
        lambda r: with_header(r, "x-amz-content-sha256", None),
        lambda r: with_header(r, "x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        lambda r: replace(r, path="/endpoints/other/invocations-bidirectional-stream"),
        lambda r: replace(r, query="a=1"),
        lambda r: replace(r, method="GET"),
        lambda r: with_authorization(r, lambda a: a.replace("Signature=", "Signature=0")[:-1]),
        lambda r: with_authorization(r, lambda a: a.replace("content-type;", "")),
        lambda r: with_authorization(r, lambda a: a.replace("content-type;", "content-type;x;")),
    ],
)
async def test_a_change_after_signing_is_found(
    mutate: Callable[[SignedRequest], SignedRequest],
) -> None:
    error = refusal(mutate(await sdk_request()))
    assert (error.type, error.message) == ("InvalidSignatureException", MISMATCH)


async def test_a_mismatch_tells_the_developer_what_was_seen() -> None:
    request = with_header(await sdk_request(), "x-amzn-sagemaker-target-variant", None)
    detail = refusal(request).detail
    assert re.search(r"hashes to [0-9a-f]{64}; signed headers content-type;host;", detail)
    assert "of them absent x-amzn-sagemaker-target-variant; host 'localhost:8443'" in detail
    assert "scope 20260304/us-east-1/sagemaker/aws4_request" in detail


def test_an_authority_that_arrived_is_not_called_absent() -> None:
    detail = refusal(replace(authority_request(), method="GET")).detail
    assert "signed headers :authority;content-type;" in detail
    assert "of them absent none;" in detail


async def test_the_hash_in_the_detail_is_that_of_the_canonical_request() -> None:
    request = await sdk_request(headers={"content-type": "application/vnd.amazon.eventstream"})
    canonical = (
        "POST\n/endpoints/voxtral/invocations-bidirectional-stream\n\n"
        "content-type:application/vnd.amazon.eventstream\nhost:localhost:8443\n"
        "x-amz-content-sha256:STREAMING-AWS4-HMAC-SHA256-EVENTS\n"
        "x-amz-date:20260304T050607Z\n\n"
        "content-type;host;x-amz-content-sha256;x-amz-date\n"
        "STREAMING-AWS4-HMAC-SHA256-EVENTS"
    )
    wrong = replace(KEY, secret_access_key="another")
    assert hashlib.sha256(canonical.encode()).hexdigest() in refusal(request, wrong).detail


async def test_the_wrong_secret_is_a_mismatch() -> None:
    error = refusal(await sdk_request(), replace(KEY, secret_access_key="another"))
    assert (error.type, error.message) == ("InvalidSignatureException", MISMATCH)
