"""The headers of an event-stream message: ten value types and their bytes (W3)."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from sagemaker_bidi.contract.eventstream.errors import (
    DuplicateHeader,
    HeadersTooLong,
    InvalidHeader,
)


class Int8(int):
    """An integer that travels as one byte (type 2)."""


class Int16(int):
    """An integer that travels as two bytes (type 3)."""


class Int32(int):
    """An integer that travels as four bytes (type 4); a plain `int` is encoded as one."""


class Int64(int):
    """An integer that travels as eight bytes (type 5)."""


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment (type 8).

    Args:
        milliseconds: since 1970-01-01T00:00:00Z; negative before it.
    """

    milliseconds: int


type HeaderValue = bool | int | bytes | str | Timestamp | uuid.UUID
"""A header's value. Whole numbers keep their size as `Int8`, `Int16`, `Int32` and `Int64`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The sizes that a message may have (K5, assumed; the defaults are those of the SDK).

    Args:
        header_bytes: all encoded headers of a message, in bytes.
        payload_bytes: the payload, in bytes.
        header_value_bytes: one value of type bytes or str, in bytes.
    """

    header_bytes: int = 128 * 1024
    payload_bytes: int = 16 * 1024 * 1024
    header_value_bytes: int = 32 * 1024 - 1


DEFAULT_LIMITS = Limits()

_BYTES, _STRING, _UUID = 6, 7, 9
_LENGTH = struct.Struct(">H")
_INTEGERS = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}
_FIXED_SIZES = {0: 0, 1: 0, _UUID: 16} | {kind: s.size for kind, s in _INTEGERS.items()}


def encode_headers(headers: Mapping[str, HeaderValue], limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Encode headers in the order of the mapping (W3).

    Raises:
        InvalidHeader: a name of no or more than 255 bytes, a value out of its type's range, too
            long, not UTF-8, or of a type that the format does not have.
        HeadersTooLong: more than `limits.header_bytes` in all.
    """
    parts: list[bytes] = []
    for name, value in headers.items():
        encoded_name = _utf8(name, name)
        if not 1 <= len(encoded_name) <= 255:
            raise InvalidHeader(
                f"the name of header {name[:40]!r} has {len(encoded_name)} bytes, expected 1 to 255"
            )
        parts.append(bytes((len(encoded_name),)))
        parts.append(encoded_name)
        parts.append(_encode_value(name, value, limits))
    encoded = b"".join(parts)
    if len(encoded) > limits.header_bytes:
        raise HeadersTooLong(
            f"the headers have {len(encoded)} bytes, the limit is {limits.header_bytes}"
        )
    return encoded


def _encode_value(name: str, value: HeaderValue, limits: Limits) -> bytes:
    match value:
        case str():
            return _sized(name, _STRING, _utf8(name, value), limits)
        case bytes():
            return _sized(name, _BYTES, value, limits)
        case bool():
            return b"\x00" if value else b"\x01"
        case Int8():
            return _packed(name, 2, value)
        case Int16():
            return _packed(name, 3, value)
        case Int64():
            return _packed(name, 5, value)
        case int():
            return _packed(name, 4, value)
        case Timestamp(milliseconds):
            return _packed(name, 8, milliseconds)
        case uuid.UUID():
            return bytes((_UUID,)) + value.bytes
        case _:
            raise InvalidHeader(
                f"header {name!r} has a value of type {type(value).__name__}, which the format "
                "does not have (bool, int, bytes, str, Timestamp, UUID)"
            )


def _utf8(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidHeader(f"header {name!r} cannot be encoded as UTF-8: {error.reason}") from None


def _sized(name: str, kind: int, value: bytes, limits: Limits) -> bytes:
    if len(value) > limits.header_value_bytes:
        raise InvalidHeader(
            f"the value of header {name!r} has {len(value)} bytes, "
            f"the limit is {limits.header_value_bytes}"
        )
    return bytes((kind,)) + _LENGTH.pack(len(value)) + value


def _packed(name: str, kind: int, value: int) -> bytes:
    layout = _INTEGERS[kind]
    try:
        return bytes((kind,)) + layout.pack(value)
    except struct.error:
        raise InvalidHeader(
            f"the value of header {name!r} is {value}, which does not fit in {layout.size} bytes"
        ) from None


def decode_headers(
    data: bytes, limits: Limits = DEFAULT_LIMITS, *, offset: int | None = None
) -> dict[str, HeaderValue]:
    """Decode the headers of one message (W3).

    Args:
        data: exactly the bytes of the headers.
        offset: where the message starts in the stream, for the errors.

    Raises:
        InvalidHeader: cut short, unknown type, no name, not UTF-8, or a value longer than
            `limits.header_value_bytes`.
        DuplicateHeader: a name that appeared before.
    """
    headers: dict[str, HeaderValue] = {}
    at = 0
    end = len(data)
    while at < end:
        start = at
        at += 1 + data[at]
        if at == start + 1:
            raise InvalidHeader(f"the header at byte {start} has no name", offset=offset)
        if at >= end:
            raise _cut_short(start, at + 1, end, offset)
        name = _text(data[start + 1 : at], start, offset)
        if name in headers:
            raise DuplicateHeader(
                f"header {name!r} at byte {start} of the headers appeared before", offset=offset
            )
        kind = data[at]
        at += 1
        if kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        elif kind in (_BYTES, _STRING):
            at += 2
            if at > end:
                raise _cut_short(start, at, end, offset)
            (size,) = _LENGTH.unpack_from(data, at - 2)
            if size > limits.header_value_bytes:
                raise InvalidHeader(
                    f"the value of header {name!r} has {size} bytes, "
                    f"the limit is {limits.header_value_bytes}",
                    offset=offset,
                )
        else:
            raise InvalidHeader(
                f"header {name!r} at byte {start} of the headers is of type {kind}, "
                "expected 0 to 9",
                offset=offset,
            )
        value_at = at
        at += size
        if at > end:
            raise _cut_short(start, at, end, offset)
        value = data[value_at:at]
        headers[name] = (
            _text(value, start, offset) if kind == _STRING else _decode_value(kind, value)
        )
    return headers


def _decode_value(kind: int, value: bytes) -> HeaderValue:
    match kind:
        case 0 | 1:
            return kind == 0
        case 2:
            return Int8.from_bytes(value, signed=True)
        case 3:
            return Int16.from_bytes(value, signed=True)
        case 4:
            return Int32.from_bytes(value, signed=True)
        case 5:
            return Int64.from_bytes(value, signed=True)
        case 6:
            return value
        case 8:
            return Timestamp(int.from_bytes(value, signed=True))
        case _:
            return uuid.UUID(bytes=value)


def _text(data: bytes, start: int, offset: int | None) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidHeader(
            f"the header at byte {start} of the headers is not UTF-8: {error.reason}",
            offset=offset,
        ) from None


def _cut_short(start: int, needed: int, end: int, offset: int | None) -> InvalidHeader:
    return InvalidHeader(
        f"the header at byte {start} of the headers is cut short: "
        f"it needs {needed} bytes of headers, there are {end}",
        offset=offset,
    )
