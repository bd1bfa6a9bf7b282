"""A request that may not come in is told why: its key, its token, its scope, its form."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_bidi.contract.sigv4.credentials import Credentials, signing_key
from sagemaker_bidi.contract.sigv4.request import SignatureError
from tests.contract.signed_requests import (
    KEY,
    MISMATCH,
    NOW,
    TEMPORARY,
    refusal,
    sdk_request,
    verify,
    with_authorization,
    with_header,
)

pytestmark = [pytest.mark.clause("W4"), pytest.mark.clause("O6")]


async def test_an_unknown_key_is_refused() -> None:
    error = refusal(await sdk_request(), replace(KEY, access_key_id="AKIDOTHER"))
    assert (error.type, error.message) == (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )


async def test_an_unknown_key_may_be_accepted() -> None:
    request = with_header(await sdk_request(key=TEMPORARY), "content-type", "changed")
    other = replace(KEY, access_key_id="AKIDOTHER")
    verified = verify(request, other, unknown_keys="accept")
    assert (verified.access_key_id, verified.known) == ("AKIDEXAMPLE", False)


@pytest.mark.parametrize(
    ("known", "sent", "detail"),
    [
        (
            KEY,
            "unasked",
            "the request carries a session token and the known key has none: another key's is left "
            "in the client's environment; clear AWS_SESSION_TOKEN there",
        ),
        (TEMPORARY, None, "the request carries no session token, the known key needs one"),
        (TEMPORARY, "another", "the request's session token is not that of the known key"),
        (TEMPORARY, "\udcff", "the request's session token is not that of the known key"),
    ],
)
async def test_a_token_that_does_not_belong_to_the_key_is_refused(
    known: Credentials, sent: str | None, detail: str
) -> None:
    error = refusal(with_header(await sdk_request(), "x-amz-security-token", sent), known)
    assert (error.type, error.message, error.detail) == (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        detail,
    )


async def test_a_token_beside_a_long_term_key_passes_where_every_key_does() -> None:
    request = with_header(await sdk_request(), "x-amz-security-token", "left-over")

    assert verify(request, KEY, unknown_keys="accept").known


async def test_an_expired_token_is_refused() -> None:
    expired = replace(TEMPORARY, expires_at=NOW - 7)
    error = refusal(await sdk_request(key=TEMPORARY), expired)
    assert (error.type, error.message, error.detail) == (
        "ExpiredTokenException",
        "The security token included in the request is expired",
        "the credentials ended 7 s ago",
    )


async def test_a_key_without_permission_is_denied() -> None:
    error = refusal(await sdk_request(), replace(KEY, may_invoke=False))
    assert error.type == "AccessDeniedException"
    assert error.message.startswith(
        "User: AKIDEXAMPLE is not authorized to perform: "
        "sagemaker:InvokeEndpointWithBidirectionalStream on resource: "
    )


async def test_permission_is_looked_at_only_for_a_right_signature() -> None:
    request = replace(await sdk_request(), query="a=1")
    assert refusal(request, replace(KEY, may_invoke=False)).message == MISMATCH


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("us-east-1", "us-west-2"), "Credential should be scoped to a valid region."),
        (("us-east-1", ""), "Credential should be scoped to a valid region."),
        (
            ("/sagemaker/", "/bedrock/"),
            "Credential should be scoped to correct service: 'sagemaker'.",
        ),
        (
            ("aws4_request", "aws5_request"),
            "Credential should be scoped with a valid terminator: 'aws4_request'.",
        ),
        (
            ("/20260304/", "/20260305/"),
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
            "from HTTP: '20260305' != '20260304', from '20260304T050607Z'.",
        ),
    ],
)
@pytest.mark.parametrize("unknown_keys", ["accept", "refuse"])
async def test_a_wrong_scope_is_refused_before_the_key_is_looked_up(
    change: tuple[str, str], message: str, unknown_keys: Literal["accept", "refuse"]
) -> None:
    request = with_authorization(await sdk_request(), lambda a: a.replace(*change))
    error = refusal(request, unknown_keys=unknown_keys)
    assert (error.type, error.message) == ("InvalidSignatureException", message)
    assert "expected '20260304/us-east-1/sagemaker/aws4_request'" in error.detail


async def test_a_region_that_no_region_is_called_is_refused() -> None:
    request = with_authorization(await sdk_request(), lambda a: a.replace("us-east-1", "us east"))
    error = refusal(request, region=None, unknown_keys="accept")
    assert error.message == "Credential should be scoped to a valid region."
    assert "any region" in error.detail


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("host", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."),
        ("x-amz-date", "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."),
    ],
)
async def test_host_and_date_must_be_signed(name: str, message: str) -> None:
    request = with_authorization(await sdk_request(), lambda a: a.replace(f";{name};", ";"))
    request = with_authorization(request, lambda a: a.replace(f";{name},", ","))
    error = refusal(request, unknown_keys="accept")
    assert (error.type, error.message) == ("InvalidSignatureException", message)


async def test_the_payload_hash_is_checked_for_an_unknown_key_too() -> None:
    request = with_header(await sdk_request(), "x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    other = replace(KEY, access_key_id="AKIDOTHER")
    error = refusal(request, other, unknown_keys="accept")
    assert error.detail == (
        "x-amz-content-sha256 is 'UNSIGNED-PAYLOAD', expected 'STREAMING-AWS4-HMAC-SHA256-EVENTS'"
    )


@pytest.mark.parametrize("value", [None, ""])
async def test_a_request_without_authorization_is_told_so(value: str | None) -> None:
    error = refusal(with_header(await sdk_request(), "authorization", value))
    assert (error.type, error.message) == (
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    )


_ALL_MISSING = (
    "Authorization header requires 'Credential' parameter. "
    "Authorization header requires 'Signature' parameter. "
    "Authorization header requires 'SignedHeaders' parameter."
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: "Bearer abc", _ALL_MISSING),
        (lambda a: a.replace("HMAC", "ECDSA-P256"), _ALL_MISSING),
        (
            lambda a: "AWS4-HMAC-SHA256",
            "Parameter 1 is not a valid key=value pair (missing equal-sign) "
            "in Authorization header.",
        ),
        (
            lambda a: a.replace("SignedHeaders=", ""),
            "Parameter 2 is not a valid key=value pair (missing equal-sign) "
            "in Authorization header.",
        ),
        (
            lambda a: a + ", Signature=00",
            "Parameter 4 repeats an earlier one in Authorization header.",
        ),
        (
            lambda a: a.replace("Credential=", "Credentials="),
            "Authorization header requires 'Credential' parameter.",
        ),
        (
            lambda a: re.sub("SignedHeaders=[^,]*", "SignedHeaders=", a),
            "Authorization header requires 'SignedHeaders' parameter.",
        ),
        (
            lambda a: "AWS4-HMAC-SHA256 other=1",
            _ALL_MISSING,
        ),
        (
            lambda a: a.replace("/us-east-1", ""),
            "Credential must have exactly 5 slash-delimited elements, "
            "e.g. keyid/date/region/service/term, got 4",
        ),
        (
            lambda a: a.replace("AKIDEXAMPLE", KEY.secret_access_key),
            "Credential must have exactly 5 slash-delimited elements, "
            "e.g. keyid/date/region/service/term, got 6",
        ),
        (
            lambda a: a.replace("AKIDEXAMPLE", ""),
            "Authorization header requires 'Credential' parameter.",
        ),
        (lambda a: a[:-1], "Authorization header requires 'Signature' parameter."),
        (lambda a: a[:-1] + "G", "Authorization header requires 'Signature' parameter."),
    ],
)
@pytest.mark.parametrize("unknown_keys", ["accept", "refuse"])
async def test_a_malformed_authorization_is_incomplete(
    change: Callable[[str], str], message: str, unknown_keys: Literal["accept", "refuse"]
) -> None:
    request = with_authorization(await sdk_request(), change)
    error = refusal(request, unknown_keys=unknown_keys)
    assert (error.type, error.message) == ("IncompleteSignatureException", message)


async def test_a_request_without_a_date_is_incomplete() -> None:
    error = refusal(with_header(await sdk_request(), "x-amz-date", None))
    assert (error.type, error.message) == (
        "IncompleteSignatureException",
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
    )


@pytest.mark.parametrize(
    "date", ["20261304T050607Z", "2026-03-04T05:06:07Z", "", "\u0662\u0660260304T050607Z"]
)
async def test_a_date_in_another_form_is_incomplete(date: str) -> None:
    error = refusal(with_header(await sdk_request(), "x-amz-date", date))
    assert (error.type, error.message) == (
        "IncompleteSignatureException",
        f"Date must be in ISO-8601 'basic format'. Got '{date}'. "
        "See http://en.wikipedia.org/wiki/ISO_8601",
    )


@given(
    st.sampled_from(
        ["authorization", "x-amz-date", "host", "x-amz-security-token", "x-amz-content-sha256"]
    ),
    st.text(st.characters(), max_size=80),
    st.text(st.characters(), max_size=20),
)
async def test_arbitrary_text_raises_nothing_but_signature_errors(
    name: str, value: str, text: str
) -> None:
    request = await sdk_request(key=TEMPORARY)
    request = replace(with_header(request, name, value), path="/" + text, query=text)
    with pytest.raises(SignatureError):
        verify(request, TEMPORARY)


def test_a_signing_key_is_that_of_the_sigv4_documentation() -> None:
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    assert signing_key(secret, "20150830", "us-east-1", "iam").hex() == (
        "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    )


async def test_nothing_secret_is_shown() -> None:
    request = await sdk_request(key=TEMPORARY)
    verified = verify(request, TEMPORARY)
    shown = repr(TEMPORARY) + repr(verified)
    assert TEMPORARY.access_key_id in shown
    for secret in (TEMPORARY.secret_access_key, TEMPORARY.session_token, verified.signature):
        assert secret is not None
        assert secret not in shown
