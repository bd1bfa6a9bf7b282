"""What goes wrong, as the client is told it: refusals before the stream, errors inside it.

Before the stream a refusal is an HTTP response (O4-O7). Inside it, it is an event-stream message
(E5): `:message-type=exception` for the two modelled types, `:message-type=error` for the rest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sagemaker_bidi.contract.eventstream.messages import HeaderValue, Message

MODELLED_IN_STREAM = ("ModelStreamError", "InternalStreamFailure")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP response that refuses an invocation before the stream opens (O4-O7).

    Args:
        status: HTTP status.
        type: the error's name, sent as `x-amzn-errortype`.
        message: what the client is told.
        clause: the rule that this follows.
        reason: what the developer is told on the side; never sent to the client.
        fields: further members of the JSON body (`ErrorCode`, `OriginalStatusCode`, …).
        message_key: `Message` for SageMaker's own errors, `message` for those of AWS's front door.
    """

    status: int
    type: str
    message: str
    clause: str
    reason: str = ""
    fields: tuple[tuple[str, str | int], ...] = ()
    message_key: str = "Message"

    def headers(self, request_id: str) -> list[tuple[str, str]]:
        """Response headers, without `:status`."""
        return [
            ("content-type", "application/json"),
            ("x-amzn-requestid", request_id),
            ("x-amzn-errortype", self.type),
        ]

    def body(self) -> bytes:
        """The JSON body."""
        return json.dumps({self.message_key: self.message, **dict(self.fields)}).encode()


class Refused(Exception):
    """Raised by what decides on an invocation; carries the `Refusal` to send."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.status} {refusal.type}: {refusal.reason or refusal.message}")
        self.refusal = refusal


def input_validation_error(message: str) -> Refusal:
    """A request header or path outside its pattern or length: 400 (W2, O7)."""
    return Refusal(
        400, "InputValidationError", message, "W2", fields=(("ErrorCode", "VALIDATION_ERROR"),)
    )


def no_such_endpoint(name: str, account: str, reason: str) -> Refusal:
    """No endpoint of that name, or one that is not in service yet: 400 `ValidationError` (O5)."""
    return Refusal(
        400,
        "ValidationError",
        f"Endpoint {name} of account {account} not found.",
        "O5",
        reason=reason,
    )


def no_such_variant(name: str, variant: str) -> Refusal:
    """TargetVariant names a variant that the endpoint does not have: 400 `ValidationError` (O8)."""
    return Refusal(
        400,
        "ValidationError",
        f"Variant {variant} is not found in endpoint {name}.",
        "O8",
    )


def model_error(container: str, reason: str, *, status: int = 424) -> Refusal:
    """The container refused the WebSocket or did not take it in time: 424 (O3, O4).

    Args:
        container: the container's name in the variant, `primary` unless configured.
        reason: what the container really did, for the developer only.
    """
    original = "Failed to establish WebSocket connection"
    return Refusal(
        status,
        "ModelError",
        f'Received server error ({status}) from {container} with message "{original}".',
        "O4",
        reason=reason,
        fields=(
            ("ErrorCode", "INTERNAL_FAILURE_FROM_MODEL"),
            ("OriginalStatusCode", status),
            ("OriginalMessage", original),
            ("LogStreamArn", ""),
        ),
    )


def unknown_operation(method: str, path: str) -> Refusal:
    """A method or path that is not `InvokeEndpointWithBidirectionalStream`'s (W1)."""
    return Refusal(
        404,
        "UnknownOperationException",
        "The requested operation is not recognized by the service.",
        "W1",
        reason=(
            f"received {method} {path}; this port serves only "
            "POST /endpoints/{EndpointName}/invocations-bidirectional-stream"
        ),
        message_key="message",
    )


def unsupported_media_type(received: str) -> Refusal:
    """A content type other than the event stream's (W1)."""
    return Refusal(
        415,
        "UnsupportedMediaTypeException",
        "Unsupported content type.",
        "W1",
        reason=f"received content-type {received!r}, expected application/vnd.amazon.eventstream",
        message_key="message",
    )


def authentication_refusal(type_: str, message: str, reason: str) -> Refusal:
    """A signature, key, token or permission that does not hold: 403 (O6)."""
    # AWS answers an Authorization header that it cannot read with 400, what it can read with 403.
    status = 400 if type_ == "IncompleteSignatureException" else 403
    return Refusal(status, type_, message, "O6", reason=reason, message_key="message")


def service_unavailable(message: str, reason: str) -> Refusal:
    """The platform takes no invocation now: 503 (O7)."""
    return Refusal(503, "ServiceUnavailableError", message, "O7", reason=reason)


def internal_server_error(reason: str) -> Refusal:
    """The emulator itself failed: 500 (O7)."""
    return Refusal(500, "InternalServerError", "Internal server error.", "O7", reason=reason)


@dataclass(frozen=True, slots=True)
class StreamError:
    """An error inside the stream (E5).

    Args:
        event: `ModelStreamError` or `InternalStreamFailure`, or any other exception type;
            `error` makes an unmodelled error (`:message-type=error`).
        code: `ErrorCode` of the payload; `:error-code` of an unmodelled error.
        message: `Message` of the payload; `:error-message` of an unmodelled error.
    """

    event: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.event} {self.code}".rstrip() + f': "{self.message}"'

    def encode(self) -> Message:
        """The event-stream message."""
        if self.event == "error":
            headers: dict[str, HeaderValue] = {
                ":message-type": "error",
                ":error-code": self.code,
                ":error-message": self.message,
            }
            return Message(headers)
        # InternalStreamFailure has a Message only (E5).
        body = {"Message": self.message}
        if self.event != "InternalStreamFailure":
            body["ErrorCode"] = self.code
        return Message(
            {
                ":message-type": "exception",
                ":exception-type": self.event,
                ":content-type": "application/json",
            },
            json.dumps(body).encode(),
        )
