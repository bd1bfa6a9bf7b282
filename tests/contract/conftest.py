"""What the tests of the contract share: a client that signs its events as the AWS SDK does (W4)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256

import pytest

from sagemaker_bidi.contract.eventstream.messages import (
    HeaderValue,
    Message,
    Timestamp,
    encode_headers,
)
from sagemaker_bidi.contract.sigv4.chunks import ChunkChain
from sagemaker_bidi.contract.sigv4.clock import amz_date
from sagemaker_bidi.contract.sigv4.credentials import Credentials, signing_key
from sagemaker_bidi.contract.sigv4.request import VerifiedRequest

UTC = 1_772_600_767.0
SEED = "5a" * 32


class SigningClient:
    """Signs one stream's events with a known key; each call continues the chain."""

    utc = UTC
    credentials = Credentials("AKIDEXAMPLE", "a secret")

    def __init__(self) -> None:
        self._prior = SEED
        self.keys = {self.credentials.access_key_id: self.credentials}

    def chain(self) -> ChunkChain:
        """What verifies this client's events, from the first on."""
        request = VerifiedRequest(
            self.credentials.access_key_id, True, "us-east-1", "sagemaker", "20260304", SEED
        )
        return ChunkChain(request, self.keys)

    def sign(self, payload: bytes) -> bytes:
        """A signed message around `payload`; around `b""` it is the end of the input."""
        headers: dict[str, HeaderValue] = {":date": Timestamp(int(self.utc * 1000))}
        stamp = amz_date(int(self.utc))
        to_sign = "\n".join(
            (
                "AWS4-HMAC-SHA256-PAYLOAD",
                stamp,
                f"{stamp[:8]}/us-east-1/sagemaker/aws4_request",
                self._prior,
                sha256(encode_headers(headers)).hexdigest(),
                sha256(payload).hexdigest(),
            )
        )
        secret = self.credentials.secret_access_key
        key = signing_key(secret, stamp[:8], "us-east-1", "sagemaker")
        signature = hmac.digest(key, to_sign.encode(), "sha256")
        self._prior = signature.hex()
        return Message({**headers, ":chunk-signature": signature}, payload).encode()

    def part(self, payload: bytes, **headers: HeaderValue) -> bytes:
        """A signed PayloadPart; `DataType` and `CompletionState` as keywords."""
        return self.sign(payload_part(payload, **headers).encode())

    def end(self) -> bytes:
        """The signed end of the input."""
        return self.sign(b"")


def payload_part(payload: bytes, **headers: HeaderValue) -> Message:
    kind: dict[str, HeaderValue] = {
        ":message-type": "event",
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
    }
    return Message({**kind, **headers}, payload)


@pytest.fixture(scope="session")
def new_client() -> Callable[[], SigningClient]:
    """Makes a signing client; session-wide, so that Hypothesis may use it too."""
    return SigningClient


@pytest.fixture
def client(new_client: Callable[[], SigningClient]) -> SigningClient:
    """A signing client at the start of its stream."""
    return new_client()
