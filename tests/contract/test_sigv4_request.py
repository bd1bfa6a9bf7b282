"""A request signed by the AWS SDK or botocore is let in; one that was touched is told why not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from aws_sdk_signers import URI, AsyncSigV4Signer, AWSCredentialIdentity, Field, Fields
from aws_sdk_signers import AWSRequest as SdkRequest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest as BotocoreRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from emulator.contract.credentials import Credentials, signing_key
from emulator.contract.sigv4 import SignatureError, SignedRequest, VerifiedRequest, verify_request

pytestmark = [pytest.mark.clause("W4"), pytest.mark.clause("O6")]

DATE = "20260304T050607Z"
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()
URL = "https://localhost:8443/endpoints/voxtral/invocations-bidirectional-stream"
KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TEMPORARY = replace(KEY, session_token="a//token==", expires_at=NOW + 3600)
HEADERS = MappingProxyType(
    {
        "content-type": "application/vnd.amazon.eventstream",
        "x-amzn-sagemaker-target-variant": "AllTraffic",
        "user-agent": "tests",
    }
)
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)


async def sdk_request(
    url: str = URL,
    *,
    key: Credentials = KEY,
    region: str = "us-east-1",
    service: str = "sagemaker",
    headers: Mapping[str, str] = HEADERS,
    authority: str | None = None,
) -> SignedRequest:
    parts = urlsplit(url)
    assert parts.hostname is not None
    destination = URI(
        scheme=parts.scheme,
        host=f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname,
        port=parts.port,
        path=parts.path,
        query=parts.query or None,
    )
    signed = await AsyncSigV4Signer().sign(
        request=SdkRequest(
            destination=destination,
            method="POST",
            body=None,
            fields=Fields([Field(name=name, values=[value]) for name, value in headers.items()]),
        ),
        identity=AWSCredentialIdentity(
            access_key_id=key.access_key_id,
            secret_access_key=key.secret_access_key,
            session_token=key.session_token,
        ),
        properties={"region": region, "service": service, "date": DATE},
    )
    on_the_wire = [("host", authority or parts.netloc)]
    on_the_wire += [
        (field.name.lower(), value) for field in signed.fields for value in field.values
    ]
    return SignedRequest("POST", parts.path, parts.query, tuple(on_the_wire))


def botocore_request(
    monkeypatch: pytest.MonkeyPatch, url: str = URL, *, key: Credentials = KEY
) -> SignedRequest:
    monkeypatch.setattr(
        "botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(NOW, UTC)
    )
    request = BotocoreRequest(method="POST", url=url, headers=dict(HEADERS))
    request.headers["X-Amz-Content-SHA256"] = "STREAMING-AWS4-HMAC-SHA256-EVENTS"
    credentials = BotocoreCredentials(key.access_key_id, key.secret_access_key, key.session_token)
    SigV4Auth(credentials, "sagemaker", "us-east-1").add_auth(request)
    parts = urlsplit(url)
    on_the_wire = [("host", parts.netloc)]
    on_the_wire += [(name.lower(), value) for name, value in request.headers.items()]
    return SignedRequest("POST", parts.path, parts.query, tuple(on_the_wire))


def verify(
    request: SignedRequest,
    *keys: Credentials,
    now: float = NOW,
    region: str | None = "us-east-1",
    unknown_keys: Literal["accept", "refuse"] = "refuse",
) -> VerifiedRequest:
    known = {key.access_key_id: key for key in keys or (KEY,)}
    return verify_request(request, known, now=now, region=region, unknown_keys=unknown_keys)


def refusal(request: SignedRequest, *keys: Credentials, **settings: Any) -> SignatureError:
    with pytest.raises(SignatureError) as caught:
        verify(request, *keys, **settings)
    error = caught.value
    assert error.clause == "O6"
    assert str(error) == f"{error.type}: {error.message}"
    told = error.message + error.detail
    signature = (request.header("authorization") or "").partition("Signature=")[2]
    for secret in (KEY.secret_access_key, TEMPORARY.session_token, signature):
        assert not secret or secret not in told
    return error


def with_header(request: SignedRequest, name: str, value: str | None) -> SignedRequest:
    kept = [pair for pair in request.headers if pair[0] != name]
    return replace(request, headers=tuple(kept + ([] if value is None else [(name, value)])))


def with_authorization(request: SignedRequest, change: Callable[[str], str]) -> SignedRequest:
    value = request.header("authorization")
    assert value is not None
    return with_header(request, "authorization", change(value))


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
        (KEY, "unasked", "the request carries a session token, the known key has none"),
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
