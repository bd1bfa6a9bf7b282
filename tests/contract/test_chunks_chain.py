"""A chain signed by the AWS SDK is followed; one that was touched is told which chunk broke it."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256

import pytest
from aws_sdk_signers import AWSCredentialIdentity
from aws_sdk_signers.signers import AsyncEventSigner
from hypothesis import given
from hypothesis import strategies as st
from smithy_aws_event_stream.events import EventHeaderEncoder, EventMessage

from sagemaker_bidi.contract.eventstream.messages import (
    Decoder,
    HeaderValue,
    Int64,
    Message,
    Timestamp,
    encode_headers,
)
from sagemaker_bidi.contract.sigv4.chunks import ChunkChain, ChunkSignatureError, is_end
from sagemaker_bidi.contract.sigv4.credentials import Credentials, signing_key
from sagemaker_bidi.contract.sigv4.request import VerifiedRequest

pytestmark = [pytest.mark.clause("W4"), pytest.mark.clause("F7")]

FIRST = Credentials("AKIDFIRST", "first secret")
SECOND = Credentials("AKIDSECOND", "second secret", session_token="token")
THIRD = Credentials("AKIDTHIRD", "third secret")
SEED = "5a" * 32
REQUEST = VerifiedRequest("AKIDFIRST", True, "us-east-1", "sagemaker", "20260304", SEED)
UNKNOWN = replace(REQUEST, access_key_id="AKIDNOBODY", known=False)
START = 1_772_600_767_890
NOW = START / 1000


def keyring(*credentials: Credentials) -> dict[str, Credentials]:
    return {each.access_key_id: each for each in credentials}


def chain(
    *credentials: Credentials, request: VerifiedRequest = REQUEST, max_skew: float = 300.0
) -> ChunkChain:
    return ChunkChain(request, keyring(*credentials or (FIRST,)), max_skew=max_skew)


class Signer:
    """Signs chunks as W4 tells, at a time of the test's choosing."""

    def __init__(self, credentials: Credentials = FIRST) -> None:
        self.credentials = credentials
        self.milliseconds = START
        self.prior = SEED

    def sign(self, payload: bytes, stamp: str = "20260304T050607Z") -> Message:
        headers: dict[str, HeaderValue] = {":date": Timestamp(self.milliseconds)}
        to_sign = (
            f"AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{stamp[:8]}/us-east-1/sagemaker/aws4_request\n"
            f"{self.prior}\n{sha256(encode_headers(headers)).hexdigest()}\n"
            f"{sha256(payload).hexdigest()}"
        )
        secret = self.credentials.secret_access_key
        key = signing_key(secret, stamp[:8], "us-east-1", "sagemaker")
        signature = hmac.digest(key, to_sign.encode(), "sha256")
        self.prior = signature.hex()
        return Message({**headers, ":chunk-signature": signature}, payload)


def broken(subject: ChunkChain, message: Message, now: float = NOW) -> ChunkSignatureError:
    with pytest.raises(ChunkSignatureError) as caught:
        subject.verify(message, now=now)
    error = caught.value
    assert error.clause == "F7"
    signature = message.headers.get(":chunk-signature")
    if isinstance(signature, bytes) and signature:
        assert signature.hex() not in error.message + error.detail
    assert "secret" not in error.message + error.detail
    return error


# --- what the SDK sends ---------------------------------------------------------------------


class SdkSigner:
    """The AWS SDK's own signer of events, which takes the time from the system's clock."""

    def __init__(self) -> None:
        self._signer = AsyncEventSigner(
            initial_signature=SEED.encode(), event_encoder_cls=EventHeaderEncoder
        )

    async def sign(self, event: EventMessage, credentials: Credentials = FIRST) -> bytes:
        identity = AWSCredentialIdentity(
            access_key_id=credentials.access_key_id,
            secret_access_key=credentials.secret_access_key,
            session_token=credentials.session_token,
        )
        sign = self._signer.sign if event.headers else self._signer.sign_empty
        signed = await sign(
            event=event,
            identity=identity,
            properties={"region": "us-east-1", "service": "sagemaker"},
        )
        return signed.encode()


def part(payload: bytes) -> EventMessage:
    return EventMessage(
        headers={":message-type": "event", ":event-type": "PayloadPart", "DataType": "BINARY"},
        payload=payload,
    )


def decoded(data: bytes) -> Message:
    decoder = Decoder()
    decoder.receive_data(data)
    message = decoder.next_message()
    assert message is not None
    return message


def signing_time(message: Message) -> float:
    date = message.headers[":date"]
    assert isinstance(date, Timestamp)
    return date.milliseconds / 1000


async def test_a_chain_of_the_sdk_is_followed_to_its_end() -> None:
    signer, subject = SdkSigner(), chain()
    for ordinal in range(20):
        event = part(bytes(ordinal))
        expected = event.encode()
        message = decoded(await signer.sign(event))
        payload = subject.verify(message, now=signing_time(message))
        assert payload == expected
        assert not is_end(payload)
        assert not subject.ended
    end = decoded(await signer.sign(EventMessage()))
    assert is_end(subject.verify(end, now=signing_time(end)))
    assert subject.ended


async def test_the_sdk_may_renew_its_credentials_at_any_event() -> None:
    signer, subject = SdkSigner(), chain(FIRST, SECOND, THIRD)
    assert subject.access_key_id == "AKIDFIRST"
    for credentials in (FIRST, SECOND, SECOND, THIRD, FIRST):
        message = decoded(await signer.sign(part(b"audio"), credentials))
        subject.verify(message, now=signing_time(message))
        assert subject.access_key_id == credentials.access_key_id


# --- rotation -------------------------------------------------------------------------------


def test_a_key_that_becomes_known_during_the_stream_is_taken() -> None:
    keys = keyring(FIRST)
    subject = ChunkChain(REQUEST, keys)
    signer = Signer()
    subject.verify(signer.sign(b"one"), now=NOW)
    del keys["AKIDFIRST"]
    keys["AKIDSECOND"] = signer.credentials = SECOND
    assert subject.verify(signer.sign(b"two"), now=NOW) == b"two"
    assert subject.access_key_id == "AKIDSECOND"


def test_a_key_that_is_not_known_is_not_taken() -> None:
    error = broken(chain(FIRST, THIRD), Signer(SECOND).sign(b"one"))
    assert error.type == "InvalidSignatureException"
    assert "or is signed with none of the 2 known keys" in error.message
    assert error.index == 1


@pytest.mark.clause("O6")
@pytest.mark.parametrize(
    ("second", "fault"),
    [
        (replace(SECOND, expires_at=NOW), "ExpiredTokenException"),
        (replace(SECOND, may_invoke=False), "AccessDeniedException"),
    ],
)
def test_a_key_that_may_not_be_used_is_not_switched_to(second: Credentials, fault: str) -> None:
    subject = chain(FIRST, second)
    error = broken(subject, Signer(second).sign(b"one"))
    assert (error.type, error.index) == (fault, 1)
    assert subject.access_key_id == "AKIDFIRST"


# --- faults ---------------------------------------------------------------------------------


def test_a_changed_payload_is_found() -> None:
    subject, signer = chain(), Signer()
    subject.verify(signer.sign(b"one"), now=NOW)
    error = broken(subject, replace(signer.sign(b"two"), payload=b"2wo"))
    assert error.type == "InvalidSignatureException"
    assert error.index == 2
    assert error.message == (
        "The signature of event 2 is invalid: it was changed, is out of its order, "
        "follows one that is missing, or is signed with none of the 1 known keys."
    )
    assert error.detail.startswith("signed message 2 of the stream: it was changed")
    assert error.detail.endswith("the request's key is known here, 1 keys are known in all")


def test_a_changed_date_is_found() -> None:
    message = Signer().sign(b"one")
    later = {**message.headers, ":date": Timestamp(START + 1)}
    broken(chain(), replace(message, headers=later))


def test_a_changed_signature_is_found() -> None:
    message = Signer().sign(b"one")
    broken(chain(), replace(message, headers={**message.headers, ":chunk-signature": bytes(32)}))


def test_chunks_out_of_order_are_found() -> None:
    signer = Signer()
    _, second = signer.sign(b"one"), signer.sign(b"two")
    assert broken(chain(), second).index == 1


def test_a_missing_chunk_is_found() -> None:
    subject, signer = chain(), Signer()
    subject.verify(signer.sign(b"one"), now=NOW)
    signer.sign(b"two")
    assert "follows one that is missing" in broken(subject, signer.sign(b"three")).message


@pytest.mark.parametrize("request_", [REQUEST, UNKNOWN])
def test_a_replayed_chunk_is_named(request_: VerifiedRequest) -> None:
    subject, signer = chain(request=request_), Signer()
    first = signer.sign(b"one")
    subject.verify(first, now=NOW)
    subject.verify(signer.sign(b"two"), now=NOW)
    error = broken(subject, first)
    assert error.message == "The signature of event 3 is invalid: it repeats signed message 1."


def test_the_seed_is_the_signature_of_the_request() -> None:
    broken(chain(request=replace(REQUEST, signature="00" * 32)), Signer().sign(b"one"))


def test_nothing_may_follow_the_end() -> None:
    subject, signer = chain(), Signer()
    assert subject.verify(signer.sign(b""), now=NOW) == b""
    error = broken(subject, signer.sign(b"more"))
    assert error.message == (
        "The signature of event 2 is invalid: it comes after the signed end of the input."
    )


def test_an_encoded_empty_message_is_no_end() -> None:
    subject = chain()
    empty = Message({}).encode()
    assert subject.verify(Signer().sign(empty), now=NOW) == empty
    assert not subject.ended


@pytest.mark.parametrize("request_", [REQUEST, UNKNOWN])
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda h: {":date": h[":date"]},
            "its headers must be :date and :chunk-signature "
            "(missing: :chunk-signature; unexpected: none)",
        ),
        (
            lambda h: {":message-type": "event"},
            "its headers must be :date and :chunk-signature "
            "(missing: :chunk-signature, :date; unexpected: :message-type)",
        ),
        (
            lambda h: {**h, "extra": True},
            "its headers must be :date and :chunk-signature (missing: none; unexpected: extra)",
        ),
        (lambda h: {**h, ":date": Int64(START)}, ":date must be a timestamp, not Int64"),
        (
            lambda h: {**h, ":chunk-signature": h[":chunk-signature"].hex()},
            ":chunk-signature must be 32 bytes, not a value of type str",
        ),
        (
            lambda h: {**h, ":chunk-signature": bytes(31)},
            ":chunk-signature must be 32 bytes, not 31 bytes",
        ),
    ],
)
def test_a_chunk_of_another_form_is_told_what_is_wrong(
    request_: VerifiedRequest,
    change: Callable[[Mapping[str, HeaderValue]], dict[str, HeaderValue]],
    complaint: str,
) -> None:
    message = Signer().sign(b"one")
    error = broken(chain(request=request_), replace(message, headers=change(message.headers)))
    assert error.type == "InvalidSignatureException"
    assert error.message == f"The signature of event 1 is invalid: {complaint}."


# --- the clock ------------------------------------------------------------------------------


@pytest.mark.clause("O6")
@pytest.mark.parametrize("request_", [REQUEST, UNKNOWN])
def test_a_chunk_signed_too_long_ago_or_too_early_is_refused(request_: VerifiedRequest) -> None:
    message = Signer().sign(b"one")
    late = broken(chain(request=request_), message, now=NOW + 301)
    assert late.message == (
        "Signature expired: 20260304T050607Z is now earlier than 20260304T050608Z "
        "(20260304T051108Z - 5 min.)"
    )
    early = broken(chain(request=request_), message, now=NOW - 301)
    assert early.message.startswith("Signature not yet current: 20260304T050607Z is still later")
    assert {late.type, early.type} == {"InvalidSignatureException"}
    assert late.index == early.index == 1


@pytest.mark.parametrize("skew", [-300, 300])
def test_a_chunk_may_be_five_minutes_off(skew: int) -> None:
    assert chain().verify(Signer().sign(b"one"), now=NOW + skew) == b"one"


@pytest.mark.parametrize("milliseconds", [2**63 - 1, -(2**63)])
def test_a_date_outside_of_the_calendar_is_refused(milliseconds: int) -> None:
    message = Signer().sign(b"one")
    headers = {**message.headers, ":date": Timestamp(milliseconds)}
    error = broken(chain(), replace(message, headers=headers))
    assert f"{int(milliseconds / 1000)} s since the epoch" in error.message


def test_a_chunk_after_midnight_has_the_scope_of_its_own_day() -> None:
    signer, subject = Signer(), chain()
    subject.verify(signer.sign(b"one"), now=NOW)
    signer.milliseconds += 24 * 3600 * 1000
    assert subject.verify(signer.sign(b"two", "20260305T050607Z"), now=NOW + 24 * 3600) == b"two"


# --- keys that nobody knows -----------------------------------------------------------------


def test_an_accepted_unknown_key_is_followed_by_form_alone() -> None:
    subject, signer = chain(request=UNKNOWN), Signer(SECOND)
    for payload in (b"one", b"two"):
        assert subject.verify(signer.sign(payload), now=NOW) == payload
    assert subject.access_key_id == "AKIDNOBODY"
    subject.verify(signer.sign(b""), now=NOW)
    assert subject.ended


def test_the_memory_of_signatures_is_bounded() -> None:
    subject, signer = chain(request=UNKNOWN), Signer()
    for _ in range(1500):
        subject.verify(signer.sign(b"audio"), now=NOW)
    assert len(subject._seen) == 1024


@given(st.data())
def test_a_chain_passes_whole_or_breaks_at_the_first_touched_chunk(data: st.DataObject) -> None:
    payloads = data.draw(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6))
    touched = data.draw(st.integers(0, len(payloads)))
    subject, signer = chain(FIRST, SECOND), Signer()
    for ordinal, payload in enumerate(payloads):
        signer.credentials = data.draw(st.sampled_from((FIRST, SECOND)))
        message = signer.sign(payload)
        if ordinal == touched:
            assert broken(subject, replace(message, payload=payload + b"!")).index == ordinal + 1
            return
        assert subject.verify(message, now=NOW) == payload
