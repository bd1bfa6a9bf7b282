"""Messages are the same bytes as those of the AWS SDK, and read the same by it and botocore."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st
from smithy_aws_event_stream.events import HEADER_VALUE, Byte, Event, EventMessage, Long, Short

from sagemaker_bidi.contract.eventstream.messages import (
    Decoder,
    DuplicateHeader,
    HeadersTooLong,
    HeaderValue,
    Int8,
    Int16,
    Int32,
    Int64,
    InvalidHeader,
    Limits,
    Message,
    PayloadTooLong,
    Timestamp,
    decode_headers,
    encode_headers,
)

pytestmark = pytest.mark.clause("W3")

# Eighths of a second are exact as floats, which is what the SDK makes of a timestamp.
_timestamps = st.integers(0, 2**34).map(lambda eighths: Timestamp(eighths * 125))
_values: st.SearchStrategy[HeaderValue] = st.one_of(
    st.booleans(),
    st.integers(-(2**7), 2**7 - 1).map(Int8),
    st.integers(-(2**15), 2**15 - 1).map(Int16),
    st.integers(-(2**31), 2**31 - 1).map(Int32),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.binary(max_size=300),
    st.text(max_size=100),
    _timestamps,
    st.uuids(),
)
_names = st.text(min_size=1, max_size=60)
_messages = st.builds(
    Message, st.dictionaries(_names, _values, max_size=6), st.binary(max_size=2000)
)


def _for_the_sdk(headers: Mapping[str, HeaderValue]) -> dict[str, HEADER_VALUE]:
    return {name: _sdk_value(value) for name, value in headers.items()}


def _sdk_value(value: HeaderValue) -> HEADER_VALUE:
    match value:
        case Int8():
            return Byte(value)
        case Int16():
            return Short(value)
        case Int64():
            return Long(value)
        case Timestamp(milliseconds):
            return datetime.fromtimestamp(milliseconds / 1000, UTC)
        case _:
            return value


def _botocore_value(value: HeaderValue) -> object:
    match value:
        case Timestamp(milliseconds):
            return milliseconds
        case uuid.UUID():
            return value.bytes
        case _:
            return value


def _decoded(data: bytes) -> Message:
    decoder = Decoder()
    decoder.receive_data(data)
    message = decoder.next_message()
    assert message is not None
    return message


@given(_messages)
def test_the_sdk_encodes_every_message_to_the_same_bytes(message: Message) -> None:
    sdk = EventMessage(headers=_for_the_sdk(message.headers), payload=message.payload)
    assert message.encode() == sdk.encode()


@given(_messages)
def test_the_sdk_reads_what_is_encoded(message: Message) -> None:
    event = Event.decode(BytesIO(message.encode()))
    assert event is not None
    assert event.message.headers == _for_the_sdk(message.headers)
    assert event.message.payload == message.payload


@given(_messages)
def test_botocore_reads_what_is_encoded(message: Message) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(message.encode())
    (read,) = buffer
    assert read.headers == {n: _botocore_value(v) for n, v in message.headers.items()}
    assert read.payload == message.payload


@given(_messages)
def test_a_message_comes_back_with_the_type_and_order_of_its_headers(message: Message) -> None:
    data = message.encode()
    read = _decoded(data)
    assert read == message
    assert [(n, type(v)) for n, v in read.headers.items()] == [
        (n, type(v)) for n, v in message.headers.items()
    ]
    assert read.encode() == data


def test_an_empty_message_is_sixteen_bytes() -> None:
    assert Message({}).encode().hex() == "000000100000000005c248eb7d98c8ff"


def test_every_type_has_its_bytes_on_the_wire() -> None:
    headers: dict[str, HeaderValue] = {
        "t": True,
        "f": False,
        "1": Int8(-1),
        "2": Int16(-2),
        "4": Int32(-3),
        "8": Int64(-4),
        "b": b"\x00\xff",
        "s": "ü",
        "d": Timestamp(-1),
        "u": uuid.UUID(int=1),
    }
    assert encode_headers(headers) == b"".join(
        (
            b"\x01t\x00",
            b"\x01f\x01",
            b"\x011\x02\xff",
            b"\x012\x03\xff\xfe",
            b"\x014\x04\xff\xff\xff\xfd",
            b"\x018\x05\xff\xff\xff\xff\xff\xff\xff\xfc",
            b"\x01b\x06\x00\x02\x00\xff",
            b"\x01s\x07\x00\x02\xc3\xbc",
            b"\x01d\x08\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x01u\x09" + bytes(15) + b"\x01",
        )
    )


def test_a_plain_int_travels_in_four_bytes() -> None:
    assert encode_headers({"n": 7}) == encode_headers({"n": Int32(7)}) == b"\x01n\x04\0\0\0\x07"


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_timestamp_keeps_every_millisecond(milliseconds: int) -> None:
    encoded = encode_headers({":date": Timestamp(milliseconds)})
    assert decode_headers(encoded) == {":date": Timestamp(milliseconds)}


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ({"": "x"}, "the name of header '' has 0 bytes, expected 1 to 255"),
        ({"ü" * 128: "x"}, "has 256 bytes, expected 1 to 255"),
        ({"\ud800": "x"}, r"header '\\ud800' cannot be encoded as UTF-8: surrogates not allowed"),
        ({"h": "\ud800"}, "header 'h' cannot be encoded as UTF-8: surrogates not allowed"),
        ({"h": "x" * 32768}, "the value of header 'h' has 32768 bytes, the limit is 32767"),
        ({"h": bytes(32768)}, "the value of header 'h' has 32768 bytes, the limit is 32767"),
        ({"h": Int8(128)}, "the value of header 'h' is 128, which does not fit in 1 bytes"),
        ({"h": Int16(2**15)}, "which does not fit in 2 bytes"),
        ({"h": 2**31}, "which does not fit in 4 bytes"),
        ({"h": Int64(2**63)}, "which does not fit in 8 bytes"),
        ({"h": Timestamp(2**63)}, "which does not fit in 8 bytes"),
        ({"h": 1.5}, "header 'h' has a value of type float, which the format does not have"),
    ],
)
def test_a_header_that_cannot_travel_is_refused_by_name(
    headers: dict[str, HeaderValue], complaint: str
) -> None:
    with pytest.raises(InvalidHeader, match=complaint):
        encode_headers(headers)


def test_the_longest_header_value_travels() -> None:
    message = Message({"s": "x" * 32767, "b": bytes(32767)})
    assert _decoded(message.encode()) == message


def test_headers_over_the_limit_are_not_encoded() -> None:
    with pytest.raises(HeadersTooLong, match="the headers have 12 bytes, the limit is 10"):
        Message({"name": "text"}).encode(Limits(header_bytes=10))


def test_a_payload_over_the_limit_is_not_encoded() -> None:
    with pytest.raises(PayloadTooLong, match="the payload has 11 bytes, the limit is 10"):
        Message({}, bytes(11)).encode(Limits(payload_bytes=10))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x00\x00", "the header at byte 0 has no name"),
        (b"\x01h\x00\x03ab", "the header at byte 3 of the headers is cut short"),
        (b"\x01h", "is cut short: it needs 3 bytes of headers, there are 2"),
        (b"\x01h\x02", "is cut short: it needs 4 bytes of headers, there are 3"),
        (b"\x01h\x05\0\0", "is cut short: it needs 11 bytes of headers, there are 5"),
        (b"\x01h\x07\0", "is cut short: it needs 5 bytes of headers, there are 4"),
        (b"\x01h\x07\0\x02x", "is cut short: it needs 7 bytes of headers, there are 6"),
        (b"\x01h\x09" + bytes(15), "is cut short: it needs 19 bytes of headers, there are 18"),
        (b"\x01h\x0a", "header 'h' at byte 0 of the headers is of type 10, expected 0 to 9"),
        (b"\x01\xff\x00", "the header at byte 0 of the headers is not UTF-8: invalid start byte"),
        (b"\x01h\x07\0\x01\xff", "the header at byte 0 of the headers is not UTF-8"),
        (b"\x01h\x06\x80\0", "the value of header 'h' has 32768 bytes, the limit is 32767"),
    ],
)
def test_broken_headers_are_refused_with_the_place(data: bytes, complaint: str) -> None:
    with pytest.raises(InvalidHeader, match=complaint):
        decode_headers(data)


def test_a_header_that_comes_twice_is_refused() -> None:
    with pytest.raises(
        DuplicateHeader, match="header 'h' at byte 3 of the headers appeared before"
    ):
        decode_headers(b"\x01h\x00\x01h\x01")


@given(st.binary(max_size=200))
def test_arbitrary_header_bytes_raise_nothing_but_the_named_faults(data: bytes) -> None:
    try:
        headers = decode_headers(data)
    except (InvalidHeader, DuplicateHeader):
        return
    assert len(encode_headers(headers)) == len(data)


def test_lengths_are_big_endian() -> None:
    total, header_bytes = struct.unpack_from(">II", Message({"h": True}, b"12345").encode())
    assert (total, header_bytes) == (16 + 3 + 5, 3)
