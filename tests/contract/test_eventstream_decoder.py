"""The decoder takes bytes in any pieces, and names what is wrong with them."""

from __future__ import annotations

import struct
from contextlib import suppress
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_bidi.contract.eventstream.messages import (
    Decoder,
    DuplicateHeader,
    EventStreamError,
    HeadersTooLong,
    InvalidHeader,
    InvalidLength,
    Limits,
    Message,
    MessageChecksumMismatch,
    PayloadTooLong,
    PreludeChecksumMismatch,
    TrailingBytes,
    TruncatedMessage,
    decode_message,
)

pytestmark = [pytest.mark.clause("W3"), pytest.mark.clause("F7")]

PART = Message({":message-type": "event", "DataType": "UTF8"}, b"twelve bytes")


def _prelude(total: int, header_bytes: int) -> bytes:
    lengths = struct.pack(">II", total, header_bytes)
    return lengths + struct.pack(">I", crc32(lengths))


def _message(headers: bytes, payload: bytes = b"") -> bytes:
    body = _prelude(16 + len(headers) + len(payload), len(headers)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def _all(decoder: Decoder) -> list[Message]:
    return list(iter(decoder.next_message, None))


_one_message = st.builds(
    Message,
    st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), max_size=3),
    st.binary(max_size=200),
)
_messages = st.lists(_one_message, max_size=6)


@given(_messages, st.data())
def test_messages_come_whole_whatever_the_split(
    messages: list[Message], data: st.DataObject
) -> None:
    stream = b"".join(message.encode() for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    decoder = Decoder()
    received: list[Message] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        decoder.receive_data(stream[start:end])
        received += _all(decoder)
    decoder.receive_end()
    assert received == messages


def test_messages_come_whole_from_single_bytes() -> None:
    decoder = Decoder()
    received: list[Message] = []
    for byte in PART.encode() * 3:
        decoder.receive_data(bytes((byte,)))
        received += _all(decoder)
    assert received == [PART] * 3


def test_a_message_comes_as_soon_as_its_last_byte_is_there() -> None:
    decoder = Decoder()
    decoder.receive_data(PART.encode()[:-1])
    assert decoder.next_message() is None
    decoder.receive_data(PART.encode()[-1:])
    assert decoder.next_message() == PART


def test_nothing_comes_of_nothing() -> None:
    decoder = Decoder()
    assert decoder.next_message() is None
    decoder.receive_end()


@given(st.integers(0, 1000), st.integers(0, 7))
def test_one_changed_bit_is_always_found(position: int, bit: int) -> None:
    stream = bytearray(PART.encode())
    stream[position % len(stream)] ^= 1 << bit
    decoder = Decoder()
    decoder.receive_data(bytes(stream))
    with pytest.raises((PreludeChecksumMismatch, MessageChecksumMismatch)):
        decoder.next_message()


@given(st.binary(max_size=300), st.data())
def test_arbitrary_bytes_raise_nothing_but_event_stream_errors(
    noise: bytes, data: st.DataObject
) -> None:
    stream = bytearray(PART.encode() * 3)
    at = data.draw(st.integers(0, len(stream)))
    stream[at : at + data.draw(st.integers(0, 40))] = noise
    decoder = Decoder()
    with suppress(EventStreamError):
        for start in range(0, len(stream), 7):
            decoder.receive_data(bytes(stream[start : start + 7]))
            assert all(isinstance(message, Message) for message in _all(decoder))
        decoder.receive_end()


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_arbitrary_headers_under_right_checksums_raise_nothing_else(
    headers: bytes, payload: bytes
) -> None:
    decoder = Decoder()
    decoder.receive_data(_message(headers, payload))
    with suppress(InvalidHeader, DuplicateHeader):
        message = decoder.next_message()
        assert message is not None
        assert message.payload == payload


def test_a_prelude_whose_checksum_differs_is_refused_with_both_numbers() -> None:
    stream = bytearray(PART.encode())
    stream[11] ^= 1
    prelude = struct.unpack_from(">I", PART.encode(), 8)[0]
    decoder = Decoder()
    decoder.receive_data(bytes(stream[:12]))
    with pytest.raises(
        PreludeChecksumMismatch,
        match=f"checksum is 0x{prelude ^ 1:08x}, its bytes make 0x{prelude:08x}",
    ):
        decoder.next_message()


def test_a_message_whose_checksum_differs_is_refused_with_its_place() -> None:
    stream = bytearray(PART.encode() * 2)
    stream[-5] ^= 1
    decoder = Decoder()
    decoder.receive_data(bytes(stream))
    assert decoder.next_message() == PART
    with pytest.raises(MessageChecksumMismatch, match="message's checksum is 0x") as caught:
        decoder.next_message()
    assert caught.value.offset == len(PART.encode())
    assert f"(message at byte {len(PART.encode())} of the stream)" in str(caught.value)


@pytest.mark.parametrize(
    ("total", "header_bytes", "fault", "complaint"),
    [
        (15, 0, InvalidLength, "total length is 15 bytes, with 0 bytes of headers it is at least"),
        (16, 1, InvalidLength, "with 1 bytes of headers it is at least 17"),
        (0, 2**32 - 1, InvalidLength, "the total length is 0 bytes"),
        (1000, 101, HeadersTooLong, "the headers have 101 bytes, the limit is 100"),
        (217, 0, PayloadTooLong, "the payload has 201 bytes, the limit is 200"),
        (2**32 - 1, 0, PayloadTooLong, "the payload has 4294967279 bytes, the limit is 200"),
    ],
)
@pytest.mark.clause("K5")
def test_lengths_are_checked_before_the_message_is_held(
    total: int, header_bytes: int, fault: type[EventStreamError], complaint: str
) -> None:
    decoder = Decoder(Limits(header_bytes=100, payload_bytes=200))
    decoder.receive_data(_prelude(total, header_bytes))
    with pytest.raises(fault, match=complaint):
        decoder.next_message()


def test_a_message_at_the_limits_passes() -> None:
    message = Message({"h": "x" * 95}, bytes(200))
    decoder = Decoder(Limits(header_bytes=100, payload_bytes=200))
    decoder.receive_data(message.encode())
    assert decoder.next_message() == message


def test_after_an_error_the_decoder_raises_it_again() -> None:
    decoder = Decoder()
    decoder.receive_data(bytes(12))
    with pytest.raises(PreludeChecksumMismatch) as caught:
        decoder.next_message()
    for use in (
        decoder.next_message,
        decoder.receive_end,
        lambda: decoder.receive_data(PART.encode()),
    ):
        with pytest.raises(PreludeChecksumMismatch) as again:
            use()
        assert again.value is caught.value


def test_a_stream_that_ends_inside_a_prelude_is_truncated() -> None:
    decoder = Decoder()
    decoder.receive_data(PART.encode() + b"1234567")
    assert _all(decoder) == [PART]
    with pytest.raises(TruncatedMessage, match="after 7 of 12 bytes of a prelude") as caught:
        decoder.receive_end()
    assert caught.value.offset == len(PART.encode())


def test_a_stream_that_ends_inside_a_message_is_truncated() -> None:
    decoder = Decoder()
    decoder.receive_data(PART.encode()[:-1])
    assert _all(decoder) == []
    size = len(PART.encode())
    with pytest.raises(TruncatedMessage, match=f"{size - 1} of {size} bytes of a message"):
        decoder.receive_end()


def test_what_has_been_taken_is_no_longer_held() -> None:
    decoder = Decoder()
    for _ in range(1000):
        decoder.receive_data(PART.encode())
        assert decoder.next_message() == PART
    assert len(decoder._buffer) == 0


@given(_one_message)
def test_the_bytes_of_one_message_are_that_message(message: Message) -> None:
    assert decode_message(message.encode()) == message


@given(_one_message, st.data())
def test_less_than_a_message_is_truncated(message: Message, data: st.DataObject) -> None:
    encoded = message.encode()
    length = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(TruncatedMessage, match=f"^{length} bytes are less than the"):
        decode_message(encoded[:length])


def test_more_than_a_message_is_said_to_be_more() -> None:
    with pytest.raises(TrailingBytes, match=r"^3 bytes follow the message$"):
        decode_message(Message({"a": "b"}, b"c").encode() + b"xyz")


def test_headers_that_are_remembered_cannot_be_changed() -> None:
    encoded = Message({":event-type": "PayloadPart"}).encode()
    with pytest.raises(TypeError):
        decode_message(encoded).headers["x"] = "y"  # type: ignore[index]
    assert decode_message(encoded).headers == {":event-type": "PayloadPart"}


def test_headers_that_are_long_are_decoded_all_the_same() -> None:
    message = Message({"a": "b" * 1_000}, b"c")
    assert decode_message(message.encode()) == message
