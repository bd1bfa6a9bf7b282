"""Refusals have SageMaker's form; errors in the stream are what the AWS SDK reads them as."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
from aws_sdk_sagemaker_runtime_http2.models import (
    InternalStreamFailure,
    ModelStreamError,
    ResponseStreamEvent,
    _ResponseStreamEventDeserializer,
)
from hypothesis import example, given
from hypothesis import strategies as st
from smithy_aws_event_stream.aio import AWSEventReceiver
from smithy_aws_event_stream.events import Event
from smithy_aws_event_stream.exceptions import UnmodeledEventError
from smithy_core.aio.types import AsyncBytesReader
from smithy_json import JSONCodec

from sagemaker_bidi.contract import errors
from sagemaker_bidi.contract.errors import Refusal, Refused, StreamError


def fields(refusal: Refusal) -> dict[str, object]:
    body = json.loads(refusal.body())
    assert isinstance(body, dict)
    return body


# --- before the stream ----------------------------------------------------------------------


@pytest.mark.clause("O7")
@pytest.mark.parametrize(
    ("refusal", "status", "type_", "clause"),
    [
        (errors.input_validation_error("no"), 400, "InputValidationError", "W2"),
        (errors.no_such_endpoint("e", "1", "why"), 400, "ValidationError", "O5"),
        (errors.no_such_variant("e", "v"), 400, "ValidationError", "O8"),
        (errors.model_error("primary", "why"), 424, "ModelError", "O4"),
        (errors.unknown_operation("GET", "/"), 404, "UnknownOperationException", "W1"),
        (errors.unsupported_media_type("a/b"), 415, "UnsupportedMediaTypeException", "W1"),
        (
            errors.authentication_refusal("ExpiredTokenException", "no", "why"),
            403,
            "ExpiredTokenException",
            "O6",
        ),
        (errors.service_unavailable("no", "why"), 503, "ServiceUnavailableError", "O7"),
        (errors.internal_server_error("why"), 500, "InternalServerError", "O7"),
    ],
    ids=lambda value: value.type if isinstance(value, Refusal) else "",
)
def test_a_refusal_has_its_status_type_request_id_and_json_body(
    refusal: Refusal, status: int, type_: str, clause: str
) -> None:
    assert (refusal.status, refusal.type, refusal.clause) == (status, type_, clause)
    assert dict(refusal.headers("id-1")) == {
        "content-type": "application/json",
        "x-amzn-requestid": "id-1",
        "x-amzn-errortype": type_,
    }
    assert fields(refusal)[refusal.message_key] == refusal.message != ""


@pytest.mark.clause("O4")
def test_a_failed_upgrade_is_a_424_in_sagemakers_words() -> None:
    refusal = errors.model_error("primary", "the container answered 503 Busy")
    assert fields(refusal) == {
        "Message": 'Received server error (424) from primary with message "Failed to establish '
        'WebSocket connection".',
        "ErrorCode": "INTERNAL_FAILURE_FROM_MODEL",
        "OriginalStatusCode": 424,
        "OriginalMessage": "Failed to establish WebSocket connection",
        "LogStreamArn": "",
    }


@pytest.mark.clause("O4")
def test_what_the_container_really_did_is_for_the_developer_only() -> None:
    refusal = errors.model_error("primary", "the container answered 503 Busy")
    assert b"Busy" not in refusal.body()
    assert "Busy" not in str(refusal.headers("id"))
    assert str(Refused(refusal)) == "424 ModelError: the container answered 503 Busy"


@pytest.mark.clause("O7")
def test_a_refusal_without_a_reason_of_its_own_is_raised_with_its_message() -> None:
    assert str(Refused(errors.no_such_variant("speech", "blue"))) == (
        "400 ValidationError: Variant blue is not found in endpoint speech."
    )


@pytest.mark.clause("O6")
@pytest.mark.parametrize(
    "refusal",
    [
        errors.authentication_refusal("InvalidSignatureException", "no", "why"),
        errors.unknown_operation("GET", "/"),
        errors.unsupported_media_type(""),
    ],
    ids=lambda refusal: refusal.type,
)
def test_the_front_doors_refusals_have_a_message_in_lower_case_and_nothing_else(
    refusal: Refusal,
) -> None:
    assert fields(refusal) == {"message": refusal.message}


@pytest.mark.clause("W1")
def test_a_wrong_request_is_told_to_the_developer_with_what_came_and_what_is_expected() -> None:
    assert "received GET /ping" in errors.unknown_operation("GET", "/ping").reason
    media = errors.unsupported_media_type("application/json").reason
    assert "'application/json'" in media
    assert "expected application/vnd.amazon.eventstream" in media


# --- inside the stream ----------------------------------------------------------------------


async def received_by_the_sdk(data: bytes) -> ResponseStreamEvent | None:
    receiver: AWSEventReceiver[ResponseStreamEvent] = AWSEventReceiver(
        payload_codec=JSONCodec(),
        source=AsyncBytesReader(data),
        deserializer=_ResponseStreamEventDeserializer().deserialize,
    )
    return await receiver.receive()


@pytest.mark.clause("E5")
async def test_the_sdk_raises_a_model_stream_error_with_its_code_and_message() -> None:
    error = StreamError("ModelStreamError", "StreamBroken", "Größe: 5 \N{OK HAND SIGN}")
    with pytest.raises(ModelStreamError) as caught:
        await received_by_the_sdk(error.encode().encode())
    assert (caught.value.error_code, caught.value.message) == ("StreamBroken", error.message)


@pytest.mark.clause("E5")
async def test_the_sdk_raises_an_internal_stream_failure_which_has_a_message_only() -> None:
    encoded = StreamError("InternalStreamFailure", "dropped", "stopping").encode()
    assert json.loads(encoded.payload) == {"Message": "stopping"}
    with pytest.raises(InternalStreamFailure) as caught:
        await received_by_the_sdk(encoded.encode())
    assert caught.value.message == "stopping"


@pytest.mark.clause("E5")
async def test_the_sdk_raises_an_unmodelled_error_with_its_code_and_message() -> None:
    encoded = StreamError("error", "ValidationException", "event 3: no").encode()
    assert encoded.payload == b""
    with pytest.raises(UnmodeledEventError) as caught:
        await received_by_the_sdk(encoded.encode())
    assert (caught.value.code, caught.value.message) == ("ValidationException", "event 3: no")


@pytest.mark.clause("E5")
async def test_an_exception_that_the_model_does_not_have_is_a_bare_key_error_in_the_sdk() -> None:
    with pytest.raises(KeyError, match="ThrottlingException"):
        await received_by_the_sdk(StreamError("ThrottlingException", "", "").encode().encode())


@pytest.mark.clause("E5")
@given(
    st.sampled_from(["ModelStreamError", "InternalStreamFailure", "Other", "error"]),
    st.text(max_size=50),
    st.text(max_size=50),
)
@example("error", "", "")
def test_the_sdk_decodes_every_error(event: str, code: str, message: str) -> None:
    decoded = Event.decode(BytesIO(StreamError(event, code, message).encode().encode()))
    assert decoded is not None
    headers = decoded.message.headers
    if event == "error":
        assert headers == {
            ":message-type": "error",
            ":error-code": code,
            ":error-message": message,
        }
        return
    assert headers == {
        ":message-type": "exception",
        ":exception-type": event,
        ":content-type": "application/json",
    }
    body = json.loads(decoded.message.payload)
    assert body.pop("ErrorCode", None) == (None if event == "InternalStreamFailure" else code)
    assert body == {"Message": message}


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (StreamError("ModelStreamError", "1011", "gone"), 'ModelStreamError 1011: "gone"'),
        (StreamError("InternalStreamFailure", "", "gone"), 'InternalStreamFailure: "gone"'),
    ],
)
def test_an_error_is_shown_as_its_event_code_and_message(error: StreamError, shown: str) -> None:
    assert str(error) == shown
