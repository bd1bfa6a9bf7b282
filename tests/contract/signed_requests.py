"""Requests signed by the AWS SDK and by botocore, and what the emulator says of them."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from aws_sdk_signers import URI, AsyncSigV4Signer, AWSCredentialIdentity, Field, Fields
from aws_sdk_signers import AWSRequest as SdkRequest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest as BotocoreRequest
from botocore.credentials import Credentials as BotocoreCredentials

from sagemaker_bidi.contract.sigv4.credentials import Credentials
from sagemaker_bidi.contract.sigv4.request import (
    SignatureError,
    SignedRequest,
    VerifiedRequest,
    verify_request,
)

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


def authority_request(*, key: Credentials = KEY) -> SignedRequest:
    """Signed as AWS's JavaScript SDK does on HTTP/2: its host-header step takes `host` out."""
    parts = urlsplit(URL)
    signed = {
        ":authority": parts.netloc,
        **HEADERS,
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-EVENTS",
        "x-amz-date": DATE,
    }
    names = ";".join(sorted(signed))
    lines = [f"{name}:{signed[name]}" for name in sorted(signed)]
    canonical = "\n".join(
        ["POST", parts.path, "", *lines, "", names, signed["x-amz-content-sha256"]]
    )
    scope = f"{DATE[:8]}/us-east-1/sagemaker/aws4_request"
    secret = f"AWS4{key.secret_access_key}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    to_sign = f"AWS4-HMAC-SHA256\n{DATE}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(secret, to_sign.encode(), "sha256").hex()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={key.access_key_id}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    on_the_wire = [("host", parts.netloc), *list(signed.items())[1:]]
    on_the_wire.append(("authorization", authorization))
    return SignedRequest("POST", parts.path, "", tuple(on_the_wire))


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
