"""Verifies the chain of signed messages that carries a client's input (W4).

Every event is the payload of a message whose `:chunk-signature` covers the signature before it,
back to that of the request. A client ends its input with a signed message that has no payload;
release 0.4.0 of the SDK leaves it out and only closes the HTTP/2 stream.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from hashlib import sha256

from sagemaker_bidi.contract.eventstream.messages import Message, Timestamp, encode_headers
from sagemaker_bidi.contract.sigv4.clock import amz_date, check_clock
from sagemaker_bidi.contract.sigv4.credentials import Credentials, signing_key
from sagemaker_bidi.contract.sigv4.request import (
    SignatureError,
    VerifiedRequest,
    check_usable,
    credential_scope,
)

_DATE, _SIGNATURE = ":date", ":chunk-signature"
_HEADERS = {_DATE, _SIGNATURE}
# The signed bytes of the date are this and its eight: name and type are always the same.
_DATE_HEADER = encode_headers({_DATE: Timestamp(0)})[:-8]
# All headers of a signed message, encoded.
SIGNED_HEADER_BYTES = len(encode_headers({_DATE: Timestamp(0), _SIGNATURE: bytes(32)}))
_ALGORITHM = "AWS4-HMAC-SHA256-PAYLOAD"
_REMEMBERED = 1024


class ChunkSignatureError(SignatureError):
    """A signed message that does not continue the chain (W4, F7).

    Args:
        type: the error's name, such as `InvalidSignatureException`.
        message: what the client is told.
        detail: what the developer's log says on top; it holds no signature, token or secret.
        index: which message of the stream it is, counted from 1.
    """

    def __init__(self, type: str, message: str, detail: str, *, index: int) -> None:
        super().__init__(type, message, detail, clause="F7")
        self.index = index


def is_end(payload: bytes) -> bool:
    """Whether a verified payload ends the input (W4).

    Only the empty payload does: an encoded message with neither headers nor payload is an event
    of no type, which a client that closes its input does not send.
    """
    return not payload


class ChunkChain:
    """Follows one stream's chain of signatures.

    A chunk names no key, and a client may renew its credentials at any event (W4). So a chunk
    that the current key did not sign is tried with the other known keys, and the chain goes on
    with the one that fits. When the request's key is unknown, only the form of the chunks, their
    time, and that none comes twice are checked.

    Args:
        verified: the request that opened the stream.
        keys: the known credentials by access key id; looked up at each chunk.
        max_skew: how far the client's clock may be off, in seconds (O6).
    """

    def __init__(
        self,
        verified: VerifiedRequest,
        keys: Mapping[str, Credentials],
        *,
        max_skew: float = 300.0,
    ) -> None:
        self._verified = verified
        self._keys = keys
        self._max_skew = max_skew
        self._prior = verified.signature
        self._access_key_id = verified.access_key_id
        self._index = 0
        self._ended = False
        # The latest signatures with their ordinals, to tell a replay from other faults.
        self._seen: dict[bytes, int] = {}

    @property
    def access_key_id(self) -> str:
        """The key that signed the latest chunk, the request's own before the first."""
        return self._access_key_id

    @property
    def ended(self) -> bool:
        """Whether the signed end of the input has come."""
        return self._ended

    def verify(self, message: Message, *, now: float) -> bytes:
        """Check the next signed message and take out what it carries.

        Args:
            message: as it was decoded.
            now: seconds since the epoch.

        Returns:
            The encoded event; `b""` is the end of the input.

        Raises:
            ChunkSignatureError: the message does not continue the chain.
        """
        self._index += 1
        try:
            date, signature = self._fields(message)
            check_clock(date.milliseconds / 1000, now, self._max_skew)
            if self._verified.known:
                self._check_signature(date, signature, message.payload, now)
            elif signature in self._seen:
                raise self._broken(self._repeats(signature))
        except ChunkSignatureError:
            raise
        except SignatureError as error:
            raise ChunkSignatureError(
                error.type, error.message, error.detail, index=self._index
            ) from None
        self._prior = signature.hex()
        if len(self._seen) == _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[signature] = self._index
        self._ended = is_end(message.payload)
        return message.payload

    def _fields(self, message: Message) -> tuple[Timestamp, bytes]:
        if self._ended:
            raise self._broken("it comes after the signed end of the input")
        headers = message.headers
        if headers.keys() != _HEADERS:
            missing = ", ".join(sorted(_HEADERS - headers.keys())) or "none"
            unexpected = ", ".join(sorted(headers.keys() - _HEADERS)) or "none"
            raise self._broken(
                f"its headers must be {_DATE} and {_SIGNATURE} "
                f"(missing: {missing}; unexpected: {unexpected})"
            )
        date, signature = headers[_DATE], headers[_SIGNATURE]
        if not isinstance(date, Timestamp):
            raise self._broken(f"{_DATE} must be a timestamp, not {type(date).__name__}")
        if not isinstance(signature, bytes) or len(signature) != 32:
            received = (
                f"{len(signature)} bytes"
                if isinstance(signature, bytes)
                else f"a value of type {type(signature).__name__}"
            )
            raise self._broken(f"{_SIGNATURE} must be 32 bytes, not {received}")
        return date, signature

    def _check_signature(
        self, date: Timestamp, signature: bytes, payload: bytes, now: float
    ) -> None:
        region, service = self._verified.region, self._verified.service
        stamp = amz_date(date.milliseconds // 1000)
        day = stamp[:8]
        to_sign = "\n".join(
            (
                _ALGORITHM,
                stamp,
                credential_scope(day, region, service),
                self._prior,
                sha256(_DATE_HEADER + date.milliseconds.to_bytes(8, signed=True)).hexdigest(),
                sha256(payload).hexdigest(),
            )
        ).encode()
        tried = 0
        for credentials in self._candidates():
            key = signing_key(credentials.secret_access_key, day, region, service)
            if hmac.compare_digest(hmac.digest(key, to_sign, "sha256"), signature):
                if credentials.access_key_id != self._access_key_id:
                    check_usable(credentials, now=now, region=region)
                    self._access_key_id = credentials.access_key_id
                return
            tried += 1
        reason = (
            self._repeats(signature)
            if signature in self._seen
            else "it was changed, is out of its order, follows one that is missing, "
            f"or is signed with none of the {tried} known keys"
        )
        raise self._broken(reason)

    def _candidates(self) -> Iterator[Credentials]:
        current = self._keys.get(self._access_key_id)
        if current is not None:
            yield current
        for credentials in self._keys.values():
            if credentials is not current:
                yield credentials

    def _repeats(self, signature: bytes) -> str:
        return f"it repeats signed message {self._seen[signature]}"

    def _broken(self, reason: str) -> ChunkSignatureError:
        return ChunkSignatureError(
            "InvalidSignatureException",
            f"The signature of event {self._index} is invalid: {reason}.",
            f"signed message {self._index} of the stream: {reason}; "
            f"the request's key is {'known' if self._verified.known else 'unknown'} here, "
            f"{len(self._keys)} keys are known in all",
            index=self._index,
        )
