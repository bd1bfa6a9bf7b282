"""What can go wrong with a stream, each with what happened and what to do about it."""

from __future__ import annotations

import os


class StreamError(Exception):
    """A stream that couldn't be opened, or ended before its work was done.

    `what` says what happened, `seen` in which order, `advice` what to do. `code` is the service's
    name for the error, `status` the HTTP status, `request_id` what AWS's support asks for; each is
    None where it isn't known.
    """

    def __init__(
        self,
        what: str,
        *,
        advice: str = "",
        seen: str = "",
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        self.what = what
        self.advice = advice
        self.seen = seen
        self.code = code
        self.status = status
        self.request_id = request_id
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.seen:
            lines.append(f"seen: {self.seen}")
        if self.request_id:
            lines.append(f"request id: {self.request_id}")
        if self.advice:
            lines.append(f"what to do: {self.advice}")
        return "\n  ".join(lines)


class SettingsError(StreamError):
    """A setting is missing or can't work; nothing was sent."""


class UnusableValue(SettingsError):
    """A value that the caller gave can't work, whatever the surroundings are."""


class ConnectionFailed(StreamError):
    """No HTTP/2 connection to the service, or no answer on it."""


class RequestRefused(StreamError):
    """The service answered the request with an error in place of a stream."""


class StreamBroken(StreamError):
    """The stream was open, and ended with an error."""


class StreamEnded(StreamError):
    """The service ended the stream while this side had more to send."""


class ModelError(StreamError):
    """The model answered with an error of its own."""


class TranscriptMissing(StreamError):
    """The stream worked, and the final transcript never came."""


def credentials_in_use() -> str:
    """Say where the SDK's credential chain looks first here, without showing any of them."""
    if os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"):
        token = "not set"
        if (value := os.environ.get("AWS_SESSION_TOKEN")) is not None:
            # An empty one is sent too, and is no key's.
            token = "set" if value else "set, and empty"
        return (
            f"the credentials came from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            f"(AWS_SESSION_TOKEN is {token})"
        )
    if profile := os.environ.get("AWS_PROFILE"):
        return f"the credentials came from the profile {profile!r} (AWS_PROFILE)"
    return "the credentials came from the default profile"


def advice_for(code: str | None, status: int | None) -> str:
    """Tell what to do about a service error: by its code, else by its HTTP status."""
    match code, status:
        case "ModelError", _:
            return (
                "the container refused the WebSocket or wasn't ready, and SageMaker passes on "
                "nothing of what it said. Read the container's log; it has to answer GET /ping on "
                "8080, accept the upgrade within 250 ms, and have capacity left"
            )
        case "ValidationError" | "ValidationException", _:
            return (
                "check --endpoint-name, --target-variant, and the region against what is deployed"
            )
        case "InputValidationError", _:
            return "a request header breaks the API's rules; the message names which one"
        case "ThrottlingException", _:
            return "wait and try again with growing pauses, or open fewer streams at once"
        case "UnrecognizedClientException", _:
            return _advice_for_an_unknown_key()
        case "InvalidSignatureException", _:
            return (
                f"the secret key doesn't belong to the access key, the region isn't the "
                f"endpoint's, or this machine's clock is more than 5 minutes off; "
                f"{credentials_in_use()}"
            )
        case "ExpiredTokenException", _:
            return (
                f"get new temporary credentials (AWS_SESSION_TOKEN has run out); "
                f"{credentials_in_use()}"
            )
        case "MissingAuthenticationTokenException", _:
            return "the request arrived without a signature: does a proxy strip Authorization?"
        case "AccessDeniedException", _:
            return (
                f"allow the IAM action sagemaker:InvokeEndpointWithBidirectionalStream on this "
                f"endpoint; {credentials_in_use()}"
            )
        case "ServiceUnavailableError" | "InternalServerError", _:
            return "the service's own trouble: wait and try again"
        case None, 403:
            return f"check the credentials; {credentials_in_use()}"
        case None, 404:
            return "this isn't SageMaker's streaming API: check --endpoint-url and its port, 8443"
        case _, int(other) if other >= 500:
            return "the service's own trouble: wait and try again"
    return ""


def _advice_for_an_unknown_key() -> str:
    named = bool(os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"))
    if named and os.environ.get("AWS_SESSION_TOKEN") is not None:
        what = (
            "unset AWS_SESSION_TOKEN: it is sent along, and isn't the token of this access key "
            "(only temporary credentials have one, and theirs comes with them)"
        )
    elif os.environ.get("AWS_ACCESS_KEY_ID", "").startswith("ASIA"):
        what = "set AWS_SESSION_TOKEN too: this access key is a temporary one and came with a token"
    else:
        what = (
            "use an access key that is known there: an emulator's `bidi trust` prints one, with "
            "everything else that has to be set and unset"
        )
    return f"{what}; {credentials_in_use()}"


def advice_for_stream(code: str | None) -> str:
    """Tell what to do about an error inside an open stream, by its code."""
    match code:
        case "StreamBroken":
            return "the container went away in mid-stream: read its log"
        case "ModelInvocationTimeExceeded":
            return "a stream lives 30 minutes at most: open a new one before that"
    return "read the container's log from the time of this stream"


def advice_for_transport(name: str, url: str) -> str | None:
    """Tell what a network error of the AWS Common Runtime means for this URL, by its name."""
    match name:
        case "AWS_IO_SOCKET_CONNECTION_REFUSED":
            return f"nothing listens at {url}: is `bidi serve` running, and is the port right?"
        case (
            "AWS_IO_DNS_INVALID_NAME" | "AWS_IO_DNS_QUERY_FAILED" | "AWS_IO_DNS_NO_ADDRESS_FOR_HOST"
        ):
            return f"the host name in {url} doesn't resolve: check the region and --endpoint-url"
        case "AWS_IO_TLS_ERROR_NEGOTIATION_FAILURE":
            return (
                f"no TLS with {url}: its certificate isn't trusted here, doesn't bear that "
                f"name, or no TLS is spoken there. For an emulator, trust its CA: "
                f'eval "$(bidi trust)" sets SSL_CERT_FILE (the SDK ignores AWS_CA_BUNDLE)'
            )
        case "AWS_IO_TLS_NEGOTIATION_TIMEOUT" | "AWS_IO_SOCKET_TIMEOUT":
            return f"{url} accepts nothing: a firewall, or a port that isn't 8443?"
        case "AWS_IO_SOCKET_CLOSED" | "AWS_ERROR_HTTP_CONNECTION_CLOSED":
            return "the connection was closed from the other side: read the server's log"
        case "AWS_ERROR_HTTP_RST_STREAM_RECEIVED" | "AWS_ERROR_HTTP_GOAWAY_RECEIVED":
            return "the server gave this stream up; open a new one"
        case "AWS_IO_SOCKET_NO_ROUTE_TO_HOST" | "AWS_IO_SOCKET_NETWORK_DOWN":
            return f"no way to {url} from this network"
    return None
