"""One part is one frame and one frame is one part, in both directions (F1-F4)."""

from __future__ import annotations

from io import BytesIO
from itertools import groupby

import pytest
from aws_sdk_sagemaker_runtime_http2.models import (
    ResponsePayloadPart,
    ResponseStreamEventPayloadPart,
    _ResponseStreamEventDeserializer,
)
from hypothesis import given
from hypothesis import strategies as st
from smithy_aws_event_stream.aio import AWSEventReceiver
from smithy_aws_event_stream.events import Event
from smithy_core.aio.types import AsyncBytesReader
from smithy_json import JSONCodec

from sagemaker_bidi.contract.eventstream.messages import HeaderValue, Message, decode_message
from sagemaker_bidi.contract.frames import (
    BINARY,
    COMPLETE,
    PARTIAL,
    UTF8,
    Frame,
    FramesToParts,
    InvalidPart,
    Opcode,
    Part,
    PartsToFrames,
    encode_part,
    part_from_message,
)

EVENT: dict[str, HeaderValue] = {":message-type": "event", ":event-type": "PayloadPart"}

_payloads = st.binary(max_size=40)


@st.composite
def _messages(draw: st.DrawFn) -> list[Part]:
    """The parts of one message: PARTIAL … PARTIAL COMPLETE, of one type."""
    data_type = draw(st.sampled_from([UTF8, BINARY]))
    payloads = draw(st.lists(_payloads, min_size=1, max_size=5))
    states = [PARTIAL] * (len(payloads) - 1) + [COMPLETE]
    return [
        Part(payload, data_type, state) for payload, state in zip(payloads, states, strict=True)
    ]


_streams = st.lists(_messages(), max_size=6).map(
    lambda messages: [part for message in messages for part in message]
)


def frames_of(parts: list[Part]) -> list[Frame | None]:
    mapping = PartsToFrames()
    return [mapping.frame(part) for part in parts]


# --- to the container -----------------------------------------------------------------------


@pytest.mark.clause("F2")
@pytest.mark.parametrize(
    ("data_type", "opcode"), [(UTF8, Opcode.TEXT), (BINARY, Opcode.BINARY), (None, Opcode.BINARY)]
)
def test_a_parts_type_decides_on_text_or_binary(data_type: str | None, opcode: Opcode) -> None:
    assert frames_of([Part(b"x", data_type, COMPLETE)]) == [Frame(opcode, b"x")]


@pytest.mark.clause("F3")
def test_a_part_with_no_completion_state_is_a_whole_message() -> None:
    assert frames_of([Part(b"x", UTF8)]) == [Frame(Opcode.TEXT, b"x", fin=True)]


@pytest.mark.clause("F3")
def test_partial_parts_and_a_complete_one_make_one_fragmented_message() -> None:
    parts = [Part(b"a", UTF8, PARTIAL), Part(b"b", UTF8, PARTIAL), Part(b"c", UTF8, COMPLETE)]
    assert frames_of(parts) == [
        Frame(Opcode.TEXT, b"a", fin=False),
        Frame(Opcode.CONT, b"b", fin=False),
        Frame(Opcode.CONT, b"c", fin=True),
    ]


@pytest.mark.clause("F3")
def test_the_message_after_a_fragmented_one_starts_anew() -> None:
    parts = [Part(b"a", UTF8, PARTIAL), Part(b"b", UTF8, COMPLETE), Part(b"c", BINARY, COMPLETE)]
    assert frames_of(parts)[2] == Frame(Opcode.BINARY, b"c")


@pytest.mark.clause("F3")
def test_a_fragment_with_no_completion_state_ends_the_message() -> None:
    parts = [Part(b"a", UTF8, PARTIAL), Part(b"b", UTF8), Part(b"c", BINARY)]
    assert frames_of(parts)[1:] == [Frame(Opcode.CONT, b"b"), Frame(Opcode.BINARY, b"c")]


@pytest.mark.clause("F3")
def test_a_fragment_with_no_type_is_of_its_messages_type() -> None:
    parts = [Part(b"a", UTF8, PARTIAL), Part(b"b", None, COMPLETE)]
    assert frames_of(parts) == [Frame(Opcode.TEXT, b"a", fin=False), Frame(Opcode.CONT, b"b")]


@pytest.mark.clause("F1")
def test_a_message_of_nothing_stays_a_message_of_nothing() -> None:
    parts = [Part(b"", UTF8, COMPLETE), Part(b"", BINARY, PARTIAL), Part(b"", BINARY, COMPLETE)]
    assert frames_of(parts) == [
        Frame(Opcode.TEXT),
        Frame(Opcode.BINARY, fin=False),
        Frame(Opcode.CONT),
    ]


@pytest.mark.clause("F7")
@pytest.mark.parametrize(
    ("first", "then", "began"),
    [(UTF8, BINARY, "UTF8"), (BINARY, UTF8, "BINARY"), (None, UTF8, "BINARY")],
)
def test_a_type_that_changes_inside_a_fragmented_message_is_refused(
    first: str | None, then: str, began: str
) -> None:
    mapping = PartsToFrames()
    mapping.frame(Part(b"a", first, PARTIAL))
    with pytest.raises(InvalidPart, match=f"changed to {then} inside .* began as {began}"):
        mapping.frame(Part(b"b", then, COMPLETE))


# --- reassembled, by setting ----------------------------------------------------------------


@pytest.mark.clause("F4")
def test_reassembled_parts_reach_the_container_as_one_frame() -> None:
    mapping = PartsToFrames(reassemble=True)
    assert mapping.frame(Part(b"a", UTF8, PARTIAL)) is None
    assert mapping.frame(Part(b"", UTF8, PARTIAL)) is None
    assert mapping.frame(Part(b"b", None, COMPLETE)) == Frame(Opcode.TEXT, b"ab")
    assert mapping.frame(Part(b"c", BINARY, COMPLETE)) == Frame(Opcode.BINARY, b"c")


@pytest.mark.clause("K5")
def test_a_reassembled_message_may_be_just_as_long_as_its_limit() -> None:
    mapping = PartsToFrames(reassemble=True, message_bytes=4)
    assert mapping.frame(Part(b"ab", None, PARTIAL)) is None
    assert mapping.frame(Part(b"cd", None, COMPLETE)) == Frame(Opcode.BINARY, b"abcd")
    # The next message has the whole limit again.
    assert mapping.frame(Part(b"efgh", None, COMPLETE)) == Frame(Opcode.BINARY, b"efgh")


@pytest.mark.clause("K5")
def test_a_reassembled_message_beyond_its_limit_is_refused() -> None:
    mapping = PartsToFrames(reassemble=True, message_bytes=4)
    mapping.frame(Part(b"abc", None, PARTIAL))
    with pytest.raises(InvalidPart, match="reached 5 bytes with this part; 4 are allowed"):
        mapping.frame(Part(b"de", None, PARTIAL))


@pytest.mark.clause("F4")
@given(_streams)
def test_reassembling_changes_where_messages_are_cut_and_nothing_else(parts: list[Part]) -> None:
    mapping = PartsToFrames(reassemble=True)
    frames = [frame for part in parts if (frame := mapping.frame(part)) is not None]
    payload = b""
    expected = []
    for part in parts:
        payload += part.payload
        if part.last:
            expected.append(
                Frame(Opcode.TEXT if part.data_type == UTF8 else Opcode.BINARY, payload)
            )
            payload = b""
    assert frames == expected


# --- to the client --------------------------------------------------------------------------


@pytest.mark.clause("F2")
@pytest.mark.parametrize(("opcode", "data_type"), [(Opcode.TEXT, UTF8), (Opcode.BINARY, BINARY)])
def test_a_whole_frame_comes_back_complete_and_with_its_type(
    opcode: Opcode, data_type: str
) -> None:
    assert FramesToParts().part(Frame(opcode, b"x")) == Part(b"x", data_type, COMPLETE)


@pytest.mark.clause("F3")
def test_fragments_come_back_as_partial_parts_of_their_messages_type() -> None:
    mapping = FramesToParts()
    frames = [
        Frame(Opcode.TEXT, b"a", fin=False),
        Frame(Opcode.CONT, b"", fin=False),
        Frame(Opcode.CONT, b"c"),
        Frame(Opcode.BINARY, b"d", fin=False),
        Frame(Opcode.CONT, b"e"),
    ]
    assert [mapping.part(frame) for frame in frames] == [
        Part(b"a", UTF8, PARTIAL),
        Part(b"", UTF8, PARTIAL),
        Part(b"c", UTF8, COMPLETE),
        Part(b"d", BINARY, PARTIAL),
        Part(b"e", BINARY, COMPLETE),
    ]


@pytest.mark.clause("F1")
@pytest.mark.clause("F2")
@pytest.mark.clause("F3")
@given(_streams)
def test_an_echo_keeps_count_bytes_types_and_ends_of_messages(parts: list[Part]) -> None:
    frames = frames_of(parts)
    assert len(frames) == len(parts)
    back = FramesToParts()
    assert [back.part(frame) for frame in frames if frame is not None] == parts


@pytest.mark.clause("F3")
@given(_streams)
def test_frames_follow_the_rules_of_fragmentation(parts: list[Part]) -> None:
    inside = False
    for frame in frames_of(parts):
        assert frame is not None
        assert (frame.opcode is Opcode.CONT) == inside
        inside = not frame.fin
    assert not inside


@pytest.mark.clause("F1")
@given(st.lists(st.builds(Part, _payloads, st.none(), st.sampled_from([None, PARTIAL, COMPLETE]))))
def test_parts_with_no_type_give_as_many_binary_frames(parts: list[Part]) -> None:
    frames = frames_of(parts)
    assert [frame and frame.payload for frame in frames] == [part.payload for part in parts]
    assert {frame.opcode for frame in frames if frame} <= {Opcode.BINARY, Opcode.CONT}
    ends = [frame.fin for frame in frames if frame]
    assert [len(list(run)) for _, run in groupby(ends)] == [
        len(list(run)) for _, run in groupby(part.last for part in parts)
    ]


# --- parts in messages ----------------------------------------------------------------------


@pytest.mark.clause("W3")
def test_a_clients_event_is_read_with_its_type_and_state() -> None:
    headers = {**EVENT, "DataType": UTF8, "CompletionState": PARTIAL, "P": "abcdef"}
    assert part_from_message(Message(headers, b"\xff\xfe")) == Part(b"\xff\xfe", UTF8, PARTIAL)


@pytest.mark.clause("W3")
def test_an_event_with_no_event_headers_and_no_payload_is_a_part() -> None:
    assert part_from_message(Message(EVENT)) == Part(b"", None, None)


@pytest.mark.clause("F7")
@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, ":message-type is missing, expected 'event'"),
        ({":message-type": "exception"}, ":message-type is 'exception', expected 'event'"),
        ({":message-type": b"event"}, ":message-type is b'event', expected 'event'"),
        ({":message-type": "event"}, ":event-type is missing, expected 'PayloadPart'"),
        ({**EVENT, ":event-type": "Other"}, ":event-type is 'Other', expected 'PayloadPart'"),
        ({**EVENT, "DataType": "TEXT"}, "DataType is 'TEXT', expected UTF8 or BINARY"),
        ({**EVENT, "DataType": "utf8"}, "DataType is 'utf8', expected UTF8 or BINARY"),
        ({**EVENT, "DataType": b"UTF8"}, "DataType is b'UTF8', expected UTF8 or BINARY"),
        ({**EVENT, "DataType": ""}, "DataType is '', expected UTF8 or BINARY"),
        ({**EVENT, "DataType": True}, "DataType is True, expected UTF8 or BINARY"),
        (
            {**EVENT, "CompletionState": "DONE"},
            "CompletionState is 'DONE', expected PARTIAL or COMPLETE",
        ),
    ],
)
def test_an_event_that_is_no_payload_part_is_refused_with_what_was_wrong(
    headers: dict[str, HeaderValue], says: str
) -> None:
    with pytest.raises(InvalidPart) as caught:
        part_from_message(Message(headers))
    assert str(caught.value) == says


@pytest.mark.clause("F7")
def test_a_long_wrong_value_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidPart) as caught:
        part_from_message(Message({**EVENT, "DataType": "x" * 30_000}))
    assert len(str(caught.value)) < 150


@pytest.mark.clause("W3")
@given(
    st.builds(
        Part,
        _payloads,
        st.sampled_from([None, UTF8, BINARY]),
        st.sampled_from([None, PARTIAL, COMPLETE]),
    )
)
def test_a_part_is_the_same_after_its_message_and_the_sdk_decodes_it(part: Part) -> None:
    data = encode_part(part)
    message = decode_message(data)
    assert part_from_message(message) == part
    assert message.encode() == data
    decoded = Event.decode(BytesIO(data))
    assert decoded is not None
    assert decoded.message.payload == part.payload
    assert decoded.message.headers == message.headers
    assert message.headers[":content-type"] == "application/octet-stream"


@pytest.mark.clause("W3")
async def test_the_sdk_returns_a_part_with_its_type_and_state() -> None:
    data = encode_part(Part(b"\xff\0text", UTF8, PARTIAL))
    receiver = AWSEventReceiver(
        payload_codec=JSONCodec(),
        source=AsyncBytesReader(data),
        deserializer=_ResponseStreamEventDeserializer().deserialize,
    )
    assert await receiver.receive() == ResponseStreamEventPayloadPart(
        ResponsePayloadPart(bytes_=b"\xff\0text", data_type=UTF8, completion_state=PARTIAL)
    )
