"""The SDK's exceptions, put into words."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from aws_sdk_sagemaker_runtime_http2.models import InternalStreamFailure, ModelStreamError
from awscrt.exceptions import AwsCrtError
from smithy_aws_event_stream.exceptions import EventError, UnmodeledEventError
from smithy_core.exceptions import EndpointResolutionError, SmithyIdentityError
from smithy_http.exceptions import SmithyHTTPError

from sagemaker_bidi_client.errors import (
    ConnectionFailed,
    RequestRefused,
    SettingsError,
    StreamBroken,
    StreamError,
    advice_for,
    advice_for_stream,
    advice_for_transport,
)
from sagemaker_bidi_client.history import History
from sagemaker_bidi_client.releases import CONFIG_ERRORS
from sagemaker_bidi_client.sdk import HttpRefusal


def opening_error(
    error: BaseException, *, url: str, refusal: HttpRefusal | None, history: History
) -> StreamError:
    """Put into words why a stream didn't open.

    `refusal` is the service's answer where there was one: it knows more than the SDK's exception,
    which has lost the message of each error that isn't modelled (O5, O6).
    """
    if refusal is not None:
        return _refused(refusal, history)
    for cause in _causes(error):
        match cause:
            case SmithyIdentityError():
                return SettingsError(
                    f"no usable AWS credentials: {cause}", advice=_credentials_advice()
                )
            case _ if isinstance(cause, CONFIG_ERRORS):
                return SettingsError(f"the AWS configuration can't be used: {cause}")
            case EndpointResolutionError():
                return SettingsError(f"no address to connect to: {cause}")
            case AwsCrtError():
                return ConnectionFailed(
                    f"no stream at {url}: {cause.name} ({cause.message})",
                    advice=advice_for_transport(cause.name, url) or "",
                    code=cause.name,
                    seen=str(history),
                )
            case SmithyHTTPError() if "HTTP/2" in str(cause):
                return ConnectionFailed(
                    f"{url} doesn't speak HTTP/2: {cause}",
                    advice="a bidirectional stream needs it: is there a proxy in between that "
                    'takes "h2" out of the TLS handshake (ALPN)?',
                    seen=str(history),
                )
    return ConnectionFailed(f"no stream at {url}: {_name(error)}", seen=str(history))


def streaming_error(
    error: BaseException, *, url: str, request_id: str | None, history: History
) -> StreamError:
    """Put into words why an open stream ended with an error (E1, E5)."""
    for cause in _causes(error):
        match cause:
            case ModelStreamError(error_code=code):
                named = f"ModelStreamError{f' {code}' if code else ''}"
                what = f"the model's side of the stream failed: {named}: {cause.message}"
                advice = advice_for_stream(code)
                return StreamBroken(
                    what, advice=advice, code=code, seen=str(history), request_id=request_id
                )
            case InternalStreamFailure():
                return StreamBroken(
                    f"SageMaker's side of the stream failed: InternalStreamFailure: "
                    f"{cause.message}",
                    advice="the service's own trouble: open a new stream",
                    code="InternalStreamFailure",
                    seen=str(history),
                    request_id=request_id,
                )
            case UnmodeledEventError():
                return StreamBroken(
                    f"the stream failed with an error that the SDK has no type for: "
                    f"{cause.code}: {cause.message}",
                    advice=advice_for(cause.code, None),
                    code=cause.code,
                    seen=str(history),
                    request_id=request_id,
                )
            case EventError():
                return StreamBroken(
                    f"the stream carried bytes that are no event: {cause}",
                    advice="what was received up to here is good; the rest is lost",
                    code=type(cause).__name__,
                    seen=str(history),
                    request_id=request_id,
                )
            case AwsCrtError():
                return StreamBroken(
                    f"the connection to {url} broke: {cause.name} ({cause.message})",
                    advice=advice_for_transport(cause.name, url) or "",
                    code=cause.name,
                    seen=str(history),
                    request_id=request_id,
                )
            case KeyError():
                # What the SDK makes of an exception type that isn't in its model.
                return StreamBroken(
                    f"the stream failed with an exception type that this SDK doesn't know: {cause}",
                    advice="see whether a newer aws-sdk-sagemaker-runtime-http2 knows it",
                    seen=str(history),
                    request_id=request_id,
                )
    return StreamBroken(
        f"the stream broke: {_name(error)}", seen=str(history), request_id=request_id
    )


def _refused(refusal: HttpRefusal, history: History) -> RequestRefused:
    kind = refusal.headers.get("x-amzn-errortype", "").split(":")[0].rpartition("#")[2] or None
    body = _json_object(refusal.body)
    if kind is None and isinstance(named := body.get("__type") or body.get("code"), str):
        kind = named.rpartition("#")[2]
    message = body.get("Message") or body.get("message") or "no message"
    detail = body.get("ErrorCode")
    named = " ".join(str(part) for part in (kind, f"({detail})" if detail else None) if part)
    return RequestRefused(
        f"the stream was refused: HTTP {refusal.status} {named or 'with no error type'}: {message}",
        advice=advice_for(kind, refusal.status),
        code=kind,
        status=refusal.status,
        request_id=refusal.headers.get("x-amzn-requestid"),
        seen=str(history),
    )


def _credentials_advice() -> str:
    key = bool(os.environ.get("AWS_ACCESS_KEY_ID"))
    secret = bool(os.environ.get("AWS_SECRET_ACCESS_KEY"))
    match key, secret:
        case True, False:
            return "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY isn't: set both"
        case False, True:
            return "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID isn't: set both"
    return (
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary "
        "ones), or AWS_PROFILE; an emulator takes any, for example `test`"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _json_object(body: bytes) -> dict[str, object]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
