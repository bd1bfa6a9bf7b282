"""The event stream on the wire: messages to bytes, and bytes in any pieces to messages (W3).

A message is the total length, the length of the headers and the CRC-32 of both (12 bytes, the
prelude), the headers, the payload, and the CRC-32 of all that precedes it; numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from zlib import crc32

from sagemaker_bidi.contract.eventstream.errors import (
    DuplicateHeader,
    EventStreamError,
    HeadersTooLong,
    InvalidHeader,
    InvalidLength,
    MessageChecksumMismatch,
    PayloadTooLong,
    PreludeChecksumMismatch,
    TrailingBytes,
    TruncatedMessage,
)
from sagemaker_bidi.contract.eventstream.headers import (
    DEFAULT_LIMITS,
    HeaderValue,
    Int8,
    Int16,
    Int32,
    Int64,
    Limits,
    Timestamp,
    decode_headers,
    encode_headers,
)

__all__ = [
    "LARGEST_MESSAGE",
    "MESSAGE_OVERHEAD",
    "Decoder",
    "DuplicateHeader",
    "EventStreamError",
    "HeaderValue",
    "HeadersTooLong",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "InvalidHeader",
    "InvalidLength",
    "Limits",
    "Message",
    "MessageChecksumMismatch",
    "PayloadTooLong",
    "PreludeChecksumMismatch",
    "Timestamp",
    "TrailingBytes",
    "TruncatedMessage",
    "decode_headers",
    "decode_message",
    "encode_headers",
    "encode_message",
]

_PRELUDE = struct.Struct(">III")
_LENGTHS = struct.Struct(">II")
_CRC = struct.Struct(">I")
# Of a message, in bytes: all that its length can say, and what is neither headers nor payload.
LARGEST_MESSAGE = 2**32 - 1
MESSAGE_OVERHEAD = _PRELUDE.size + _CRC.size
# Headers of up to so many bytes are worth remembering; those of an event have 130.
_LONGEST_KNOWN = 256


@dataclass(frozen=True, slots=True)
class Message:
    """One event-stream message (W3).

    Args:
        headers: values by name, in their order on the wire.
        payload: the bytes after the headers.
    """

    headers: Mapping[str, HeaderValue]
    payload: bytes = b""

    def encode(self, limits: Limits = DEFAULT_LIMITS) -> bytes:
        """The message's bytes.

        Raises:
            InvalidHeader: a header that the format cannot carry.
            HeadersTooLong: more than `limits.header_bytes`.
            PayloadTooLong: more than `limits.payload_bytes`.
        """
        return encode_message(encode_headers(self.headers, limits), self.payload, limits)


def encode_message(headers: bytes, payload: bytes, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The bytes of a message whose headers are encoded already, as `encode_headers` does it.

    Raises:
        PayloadTooLong: more than `limits.payload_bytes`.
    """
    if len(payload) > limits.payload_bytes:
        raise PayloadTooLong(
            f"the payload has {len(payload)} bytes, the limit is {limits.payload_bytes}"
        )
    lengths = _LENGTHS.pack(MESSAGE_OVERHEAD + len(headers) + len(payload), len(headers))
    prelude_crc = crc32(lengths)
    prelude = lengths + _CRC.pack(prelude_crc)
    # The checksum covers the prelude's too.
    crc = crc32(payload, crc32(headers, crc32(prelude[_LENGTHS.size :], prelude_crc)))
    return b"".join((prelude, headers, payload, _CRC.pack(crc)))


class Decoder:
    """Makes messages of bytes that arrive in any pieces (W3).

    Give it bytes with `receive_data`, then take messages with `next_message` until that returns
    None; what it holds then is less than one message within the limits. After an error it raises
    the same error again: a stream has no mark to resume at.

    Args:
        limits: the sizes that a message may have.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._offset = 0
        # Total length, headers length and CRC of the message at the front, once it is known.
        self._prelude: tuple[int, int, int] | None = None
        self._error: EventStreamError | None = None

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Raises:
            EventStreamError: the one that was raised before.
        """
        if self._error is not None:
            raise self._error
        self._buffer += data

    def next_message(self) -> Message | None:
        """The next whole message, or None when more bytes are needed.

        A message's lengths are checked as soon as its prelude has come, so one that is too long
        is refused before it is held.

        Raises:
            PreludeChecksumMismatch, InvalidLength, HeadersTooLong, PayloadTooLong,
            MessageChecksumMismatch, InvalidHeader, DuplicateHeader: the message is broken.
        """
        if self._error is not None:
            raise self._error
        if len(self._buffer) < _PRELUDE.size:
            return None
        try:
            prelude = self._prelude
            if prelude is None:
                self._prelude = prelude = _checked_prelude(self._buffer, self._limits, self._offset)
            if len(self._buffer) < prelude[0]:
                return None
            headers, payload = _checked_message(self._buffer, prelude, self._offset)
            message = Message(decode_headers(headers, self._limits, offset=self._offset), payload)
        except EventStreamError as error:
            raise self._failed(error) from None
        # Deleting from the front of a bytearray moves its start, not its bytes.
        del self._buffer[: prelude[0]]
        self._offset += prelude[0]
        self._prelude = None
        return message

    def receive_end(self) -> None:
        """Note the end of the stream; call it when `next_message` has returned None.

        Raises:
            TruncatedMessage: the stream ended inside a message.
            EventStreamError: the one that was raised before.
        """
        if self._error is not None:
            raise self._error
        if not self._buffer:
            return
        expected = (
            f"{_PRELUDE.size} bytes of a prelude"
            if self._prelude is None
            else f"{self._prelude[0]} bytes of a message"
        )
        raise self._failed(
            TruncatedMessage(
                f"the stream ended after {len(self._buffer)} of {expected}", offset=self._offset
            )
        )

    def _failed(self, error: EventStreamError) -> EventStreamError:
        self._error = error
        self._buffer = bytearray()
        return error


def decode_message(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """The one message that these bytes are (W3).

    Args:
        data: all of it and nothing else; of a stream's bytes a `Decoder` makes messages.
        limits: the sizes that it may have.

    Raises:
        TruncatedMessage, TrailingBytes: they are less or more than one message.
        EventStreamError: the message is broken, see `Decoder.next_message`.
    """
    if len(data) < _PRELUDE.size:
        raise TruncatedMessage(f"{len(data)} bytes are less than the {_PRELUDE.size} of a prelude")
    prelude = _checked_prelude(data, limits, None)
    if len(data) < prelude[0]:
        raise TruncatedMessage(f"{len(data)} bytes are less than the message's {prelude[0]}")
    headers, payload = _checked_message(data, prelude, None)
    known = len(headers) <= _LONGEST_KNOWN
    decode = _decode_known_headers if known else decode_headers
    message = Message(decode(headers, limits), payload)
    if extra := len(data) - prelude[0]:
        raise TrailingBytes(f"{extra} bytes follow the message")
    return message


# A client's events have the same few headers all the time.
@lru_cache(maxsize=64)
def _decode_known_headers(data: bytes, limits: Limits) -> Mapping[str, HeaderValue]:
    return MappingProxyType(decode_headers(data, limits))


def _checked_prelude(
    buffer: bytes | bytearray, limits: Limits, offset: int | None
) -> tuple[int, int, int]:
    total, header_bytes, crc = _PRELUDE.unpack_from(buffer)
    computed = crc32(buffer[: _LENGTHS.size])
    if crc != computed:
        raise PreludeChecksumMismatch(
            f"the prelude's checksum is 0x{crc:08x}, its bytes make 0x{computed:08x}",
            offset=offset,
        )
    payload_bytes = total - MESSAGE_OVERHEAD - header_bytes
    if payload_bytes < 0:
        least = MESSAGE_OVERHEAD + header_bytes
        raise InvalidLength(
            f"the total length is {total} bytes, "
            f"with {header_bytes} bytes of headers it is at least {least}",
            offset=offset,
        )
    if header_bytes > limits.header_bytes:
        raise HeadersTooLong(
            f"the headers have {header_bytes} bytes, the limit is {limits.header_bytes}",
            offset=offset,
        )
    if payload_bytes > limits.payload_bytes:
        raise PayloadTooLong(
            f"the payload has {payload_bytes} bytes, the limit is {limits.payload_bytes}",
            offset=offset,
        )
    return total, header_bytes, crc


def _checked_message(
    buffer: bytes | bytearray, prelude: tuple[int, int, int], offset: int | None
) -> tuple[bytes, bytes]:
    """The bytes of the headers and the payload of the message at the front."""
    total, header_bytes, prelude_crc = prelude
    headers_end = _PRELUDE.size + header_bytes
    payload_end = total - _CRC.size
    with memoryview(buffer) as view, view[_LENGTHS.size : payload_end] as checked:
        # The checksum covers the prelude too: its first eight bytes make the prelude's own.
        computed = crc32(checked, prelude_crc)
        headers = bytes(view[_PRELUDE.size : headers_end])
        payload = bytes(view[headers_end:payload_end])
    (crc,) = _CRC.unpack_from(buffer, payload_end)
    if crc != computed:
        raise MessageChecksumMismatch(
            f"the message's checksum is 0x{crc:08x}, its bytes make 0x{computed:08x}",
            offset=offset,
        )
    return headers, payload
