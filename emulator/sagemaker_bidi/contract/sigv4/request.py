"""Verifies the signature of the request that opens a stream (W4, O6).

The checks run in the order in which AWS's front door reports them: the form of the Authorization
header, its scope, the clock, the key, the token, the signature, the permission.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sagemaker_bidi.contract.sigv4.authorization import (
    ALGORITHM,
    Authorization,
    SignatureError,
    parse_authorization,
)
from sagemaker_bidi.contract.sigv4.canonical import (
    HOST_NAMES,
    SignedRequest,
    canonical_hash,
    signed_hosts,
)
from sagemaker_bidi.contract.sigv4.clock import check_clock, parse_amz_date
from sagemaker_bidi.contract.sigv4.credentials import Credentials, signing_key

__all__ = [
    "SignatureError",
    "SignedRequest",
    "VerifiedRequest",
    "check_usable",
    "credential_scope",
    "verify_request",
]

_EVENTS_PAYLOAD = "STREAMING-AWS4-HMAC-SHA256-EVENTS"
_IAM_ACTION = "sagemaker:InvokeEndpointWithBidirectionalStream"
_TERMINATOR = "aws4_request"
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)

_REGION = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """Who signed a request, and what the chain of its chunks starts from (W4).

    Args:
        access_key_id: as the request names it.
        known: False when the key is unknown and unknown keys are accepted: then nothing but the
            form was checked.
        region: of the credential scope.
        service: of the credential scope.
        date: of the credential scope, `YYYYMMDD`.
        signature: the request's signature in hexadecimal, the seed of the chunk chain.
    """

    access_key_id: str
    known: bool
    region: str
    service: str
    date: str
    signature: str = field(repr=False)


def verify_request(
    request: SignedRequest,
    keys: Mapping[str, Credentials],
    *,
    now: float,
    region: str | None,
    unknown_keys: Literal["accept", "refuse"],
    max_skew: float = 300.0,
    service: str = "sagemaker",
) -> VerifiedRequest:
    """Check a request's SigV4 signature as the service would (W4, O6).

    Args:
        request: as it came over the wire.
        keys: the known credentials by access key id.
        now: seconds since the epoch.
        region: the one that the credential scope must name; None takes any.
        unknown_keys: whether a key that is not in `keys` passes when the request's form is right,
            and a long-term one with a token beside it.
        max_skew: how far the client's clock may be off, in seconds.
        service: the one that the credential scope must name.

    Raises:
        SignatureError: with the type and message of the refusal.
    """
    authorization = parse_authorization(request.header("authorization"))
    date = request.header("x-amz-date")
    signed_at = parse_amz_date(date)
    _check_scope(authorization, date or "", region, service)
    _check_signed_headers(request, authorization)
    check_clock(signed_at, now, max_skew)

    credentials = keys.get(authorization.access_key_id)
    if credentials is None and unknown_keys == "refuse":
        raise _unrecognized(
            f"the access key id is none of the {len(keys)} that are known here; "
            "add it, or accept unknown keys"
        )
    if credentials is not None:
        _check_token(request, credentials, any_token=unknown_keys == "accept")
        _check_expiry(credentials, now)
        _check_signature(request, authorization, date or "", credentials)
        _check_permission(credentials, authorization.region)
    return VerifiedRequest(
        access_key_id=authorization.access_key_id,
        known=credentials is not None,
        region=authorization.region,
        service=authorization.service,
        date=authorization.date,
        signature=authorization.signature,
    )


def credential_scope(date: str, region: str, service: str) -> str:
    """The credential scope of a day, `YYYYMMDD/region/service/aws4_request` (W4)."""
    return f"{date}/{region}/{service}/{_TERMINATOR}"


def check_usable(credentials: Credentials, *, now: float, region: str) -> None:
    """Check that credentials whose signature is right may be used (O6).

    Args:
        credentials: the ones that signed.
        now: seconds since the epoch.
        region: of the credential scope.

    Raises:
        SignatureError: ExpiredTokenException or AccessDeniedException.
    """
    _check_expiry(credentials, now)
    _check_permission(credentials, region)


def _check_scope(authorization: Authorization, date: str, region: str | None, service: str) -> None:
    seen = credential_scope(authorization.date, authorization.region, authorization.service)
    if authorization.terminator != _TERMINATOR:
        message = f"Credential should be scoped with a valid terminator: '{_TERMINATOR}'."
    elif not _REGION.fullmatch(authorization.region) or region not in (None, authorization.region):
        message = "Credential should be scoped to a valid region."
    elif authorization.service != service:
        message = f"Credential should be scoped to correct service: '{service}'."
    elif authorization.date != date[:8]:
        message = (
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
            f"from HTTP: '{authorization.date[:40]}' != '{date[:8]}', from '{date}'."
        )
    else:
        return
    expected = credential_scope(date[:8], region or "any region", service)
    raise SignatureError(
        "InvalidSignatureException",
        message,
        f"the credential scope is {seen[:100]!r}, expected {expected!r}",
    )


def _check_signed_headers(request: SignedRequest, authorization: Authorization) -> None:
    for names, shown in ((HOST_NAMES, "'Host' or ':authority'"), (("x-amz-date",), "'X-Amz-Date'")):
        if not any(name in authorization.signed_headers for name in names):
            raise SignatureError(
                "InvalidSignatureException",
                f"{shown} must be a 'SignedHeader' in the AWS Authorization.",
                f"the signed headers are {';'.join(authorization.signed_headers)}",
            )
    payload = request.header("x-amz-content-sha256")
    if payload != _EVENTS_PAYLOAD:
        received = "absent" if payload is None else repr(payload[:100])
        raise SignatureError(
            "InvalidSignatureException",
            _MISMATCH,
            f"x-amz-content-sha256 is {received}, expected {_EVENTS_PAYLOAD!r}",
        )


def _check_token(request: SignedRequest, credentials: Credentials, *, any_token: bool) -> None:
    token = request.header("x-amz-security-token")
    if credentials.session_token is None:
        # Where any key passes, one that is known must not be refused for what an unknown one may.
        if token is not None and not any_token:
            raise _unrecognized(
                "the request carries a session token and the known key has none: another key's is "
                "left in the client's environment; clear AWS_SESSION_TOKEN there"
            )
    elif token is None:
        raise _unrecognized("the request carries no session token, the known key needs one")
    elif not hmac.compare_digest(
        token.encode("utf-8", "surrogatepass"), credentials.session_token.encode()
    ):
        raise _unrecognized("the request's session token is not that of the known key")


def _check_expiry(credentials: Credentials, now: float) -> None:
    if credentials.expires_at is not None and now >= credentials.expires_at:
        raise SignatureError(
            "ExpiredTokenException",
            "The security token included in the request is expired",
            f"the credentials ended {now - credentials.expires_at:.0f} s ago",
        )


def _check_signature(
    request: SignedRequest, authorization: Authorization, date: str, credentials: Credentials
) -> None:
    day = authorization.date
    key = signing_key(
        credentials.secret_access_key, day, authorization.region, authorization.service
    )
    scope = credential_scope(day, authorization.region, authorization.service)
    host = request.header("host") or ""
    canonical = ""
    for candidate in signed_hosts(host):
        canonical = canonical_hash(request, authorization.signed_headers, candidate)
        to_sign = f"{ALGORITHM}\n{date}\n{scope}\n{canonical}"
        computed = hmac.digest(key, to_sign.encode(), "sha256").hex()
        if hmac.compare_digest(computed, authorization.signature):
            return
    absent = [
        name
        for name in authorization.signed_headers
        if request.header("host" if name in HOST_NAMES else name) is None
    ]
    raise SignatureError(
        "InvalidSignatureException",
        _MISMATCH,
        f"the canonical request that arrived hashes to {canonical}; "
        f"signed headers {';'.join(authorization.signed_headers)}; "
        f"of them absent {';'.join(absent) or 'none'}; "
        f"host {host!r}; {request.method} {request.path}; scope {scope}",
    )


def _check_permission(credentials: Credentials, region: str) -> None:
    if not credentials.may_invoke:
        raise SignatureError(
            "AccessDeniedException",
            f"User: {credentials.access_key_id} is not authorized to perform: {_IAM_ACTION} on "
            f"resource: arn:aws:sagemaker:{region}:*:endpoint/* because no identity-based policy "
            f"allows the {_IAM_ACTION} action",
            "these credentials are set up with may_invoke=False",
        )


def _unrecognized(detail: str) -> SignatureError:
    return SignatureError(
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        detail,
    )
