"""What the client sends reaches the container, or ends the stream with what was wrong (F, E3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.eventstream.messages import Message
from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.contract.outputs import (
    CloseContainer,
    EndStream,
    Output,
    SendError,
    SendFrame,
)
from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.contract.settings import ContractSettings

PART = {":message-type": "event", ":event-type": "PayloadPart"}


class Stream:
    """A session and its client, whose bytes go in as they are given."""

    def __init__(self, client: Any, settings: ContractSettings | None = None) -> None:
        self.client = client
        self.session = Session(settings or ContractSettings(), client.chain(), 0.0)

    def send(self, data: bytes) -> list[Output]:
        return self.session.receive_data(data, now=1.0, utc=self.client.utc)

    def refused(self, data: bytes) -> StreamError:
        return refusal(self.session, self.send(data))


def refusal(session: Session, outputs: list[Output]) -> StreamError:
    """The client's error, from outputs that end the stream as F7 has it."""
    close, error, end = outputs
    assert close == CloseContainer(1001, "client sent an invalid event")
    assert isinstance(error, SendError)
    assert end == EndStream()
    assert session.ending is not None
    assert (session.ending.by, session.ending.clause) == ("emulator", "F7")
    assert session.ending.error == error.error
    return error.error


@pytest.fixture
def stream(client: Any) -> Stream:
    return Stream(client)


# --- parts become frames --------------------------------------------------------------------


@pytest.mark.clause("F1")
def test_each_part_is_sent_on_as_one_frame_with_its_bytes(stream: Stream) -> None:
    client = stream.client
    data = client.part(b"\xff\0", DataType="UTF8") + client.part(b"", DataType="BINARY")
    assert stream.send(data) == [
        SendFrame(Frame(Opcode.TEXT, b"\xff\0")),
        SendFrame(Frame(Opcode.BINARY, b"")),
    ]
    assert (stream.session.parts_received, stream.session.frames_sent) == (2, 2)
    assert stream.session.ending is None


@pytest.mark.clause("F3")
def test_a_fragmented_message_goes_on_fragment_by_fragment(stream: Stream) -> None:
    first = stream.send(stream.client.part(b"a", DataType="UTF8", CompletionState="PARTIAL"))
    last = stream.send(stream.client.part(b"b", DataType="UTF8", CompletionState="COMPLETE"))
    assert first == [SendFrame(Frame(Opcode.TEXT, b"a", fin=False))]
    assert last == [SendFrame(Frame(Opcode.CONT, b"b"))]


@pytest.mark.clause("F4")
def test_by_setting_a_fragmented_message_goes_on_whole(client: Any) -> None:
    stream = Stream(client, ContractSettings(reassemble=True))
    assert stream.send(client.part(b"a", DataType="UTF8", CompletionState="PARTIAL")) == []
    assert stream.send(client.part(b"b", CompletionState="COMPLETE")) == [
        SendFrame(Frame(Opcode.TEXT, b"ab"))
    ]
    assert (stream.session.parts_received, stream.session.frames_sent) == (2, 1)


@pytest.mark.clause("K5")
def test_by_setting_a_whole_message_has_a_limit(client: Any) -> None:
    stream = Stream(client, ContractSettings(reassemble=True, frame_bytes=3))
    stream.send(client.part(b"abc", CompletionState="PARTIAL"))
    assert "reached 4 bytes" in stream.refused(client.part(b"d")).message


@pytest.mark.clause("K5")
def test_an_event_of_the_largest_size_is_taken_whatever_its_headers(client: Any) -> None:
    stream = Stream(client, ContractSettings(event_bytes=100))
    assert len(stream.send(client.part(bytes(100), P="x" * 30_000))) == 1
    assert "101 bytes, the limit is 100" in stream.refused(client.part(bytes(101))).message


@pytest.mark.clause("F1")
@given(data=st.data(), payloads=st.lists(st.binary(max_size=20), max_size=4), ended=st.booleans())
def test_how_the_bytes_arrive_makes_no_difference(
    new_client: Callable[[], Any], data: st.DataObject, payloads: list[bytes], ended: bool
) -> None:
    client = new_client()
    whole = b"".join(client.part(payload, DataType="UTF8") for payload in payloads)
    # After the last of them comes the end, or what cannot be an event.
    whole += client.end() if ended else b"\0" * 12
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8).map(sorted))
    at_once = Stream(client)
    expected = at_once.send(whole)
    in_pieces = Stream(client)
    pieces = [whole[start:stop] for start, stop in pairwise([0, *cuts, len(whole)])]
    assert [output for piece in pieces for output in in_pieces.send(piece)] == expected
    assert in_pieces.session.ending == at_once.session.ending


# --- events that cannot be accepted ---------------------------------------------------------


@pytest.mark.clause("F7")
@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"DataType": "TEXT"}, "DataType is 'TEXT', expected UTF8 or BINARY"),
        ({"CompletionState": "DONE"}, "CompletionState is 'DONE', expected PARTIAL or COMPLETE"),
        ({":event-type": "Audio"}, ":event-type is 'Audio', expected 'PayloadPart'"),
        ({":message-type": "error"}, ":message-type is 'error', expected 'event'"),
    ],
)
def test_an_invalid_event_ends_the_stream_with_what_was_wrong(
    stream: Stream, headers: dict[str, str], says: str
) -> None:
    error = stream.refused(stream.client.sign(Message({**PART, **headers}).encode()))
    assert error == StreamError("error", "ValidationException", f"event 1: {says}")


@pytest.mark.clause("F7")
def test_the_event_is_named_by_its_number_and_the_ones_before_it_are_delivered(
    stream: Stream,
) -> None:
    client = stream.client
    data = client.part(b"a") + client.part(b"b") + client.part(b"c", DataType="x")
    *delivered, _, error, _ = stream.send(data)
    assert [each.frame.payload for each in delivered if isinstance(each, SendFrame)] == [b"a", b"b"]
    assert isinstance(error, SendError)
    assert error.error.message.startswith("event 3: DataType is 'x'")


@pytest.mark.clause("F7")
def test_a_type_that_changes_inside_a_message_ends_the_stream(stream: Stream) -> None:
    stream.send(stream.client.part(b"a", DataType="UTF8", CompletionState="PARTIAL"))
    error = stream.refused(stream.client.part(b"b", DataType="BINARY"))
    assert "event 2: DataType changed to BINARY" in error.message


@pytest.mark.clause("F7")
def test_a_bad_checksum_ends_the_stream(stream: Stream) -> None:
    data = bytearray(stream.client.part(b"audio"))
    data[-6] ^= 1
    error = stream.refused(bytes(data))
    assert error.code == "ValidationException"
    assert "event 1: the message's checksum is" in error.message


@pytest.mark.clause("F7")
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda event: b"\0" * 40, "inside its signed message, the prelude's checksum"),
        (lambda event: event[:-1] + b"x", "inside its signed message, the message's checksum"),
        (lambda event: event[:-1], "its signed message ends before the event inside it does"),
        (lambda event: event[:3], "its signed message ends before the event inside it does"),
        (
            lambda event: event + b"x",
            "inside its signed message, 1 bytes follow the message; one signed",
        ),
        (
            lambda event: event * 2,
            f"inside its signed message, {len(Message(PART).encode())} bytes follow",
        ),
    ],
)
def test_a_signed_message_that_is_not_one_event_ends_the_stream(
    stream: Stream, damage: Callable[[bytes], bytes], says: str
) -> None:
    error = stream.refused(stream.client.sign(damage(Message(PART).encode())))
    assert error.message.startswith(f"event 1: {says}")
    assert stream.session.parts_received == 0


@pytest.mark.clause("F7")
@pytest.mark.clause("W4")
def test_a_bad_chunk_signature_ends_the_stream_under_its_own_name(stream: Stream) -> None:
    stream.client.part(b"never sent")
    error = stream.refused(stream.client.part(b"after a gap"))
    assert (error.event, error.code) == ("error", "InvalidSignatureException")
    assert error.message.startswith("The signature of event 1 is invalid: it was changed")
    assert error.message.count("event 1") == 1


@pytest.mark.clause("O6")
def test_the_developer_is_told_more_of_a_bad_signature_than_the_client(client: Any) -> None:
    stream = Stream(client)
    outputs = stream.session.receive_data(client.part(b"x"), now=1.0, utc=client.utc + 301)
    error = refusal(stream.session, outputs)
    assert stream.session.ending is not None
    assert "signed -301 s from now" in stream.session.ending.why
    assert "-301 s" not in error.message


@pytest.mark.clause("F7")
def test_a_fault_that_quotes_the_client_at_length_still_fits_into_an_error(stream: Stream) -> None:
    names = {f"{n:04}{'x' * 200}": "y" for n in range(300)}
    error = stream.refused(Message(names).encode())
    assert len(error.message) <= 1000
    assert error.encode().encode()


@pytest.mark.clause("F7")
def test_which_error_it_is_and_what_it_says_is_a_setting(client: Any) -> None:
    shown = StreamError("ModelStreamError", "BadInput", "Input refused ({detail}).")
    stream = Stream(client, ContractSettings(invalid_input_error=shown))
    error = stream.refused(client.part(b"", DataType="x"))
    assert error == replace(
        shown, message="Input refused (event 1: DataType is 'x', expected UTF8 or BINARY)."
    )


@pytest.mark.clause("E7")
def test_by_setting_the_stream_is_reset_after_the_error(client: Any) -> None:
    stream = Stream(client, ContractSettings(reset_after_error=True))
    assert stream.send(client.part(b"", DataType="x"))[-1] == EndStream(reset=True)


@pytest.mark.clause("F7")
def test_an_invalid_event_is_answered_once(stream: Stream) -> None:
    garbage = b"\0" * 12
    assert stream.send(garbage)
    ending = stream.session.ending
    assert stream.send(garbage) == []
    assert stream.session.receive_end(2.0) == []
    assert stream.session.ending is ending


# --- the client ends ------------------------------------------------------------------------


@pytest.mark.clause("E3")
def test_the_signed_end_closes_the_websocket_at_once_and_drops_what_is_under_way(
    stream: Stream,
) -> None:
    assert stream.send(stream.client.part(b"a") + stream.client.end()) == [
        SendFrame(Frame(Opcode.BINARY, b"a")),
        CloseContainer(1000, discard=True),
        EndStream(),
    ]
    ending = stream.session.ending
    assert ending is not None
    assert (ending.by, ending.clause, ending.error) == ("client", "E3", None)
    assert "the client closed its input: the WebSocket is closed at once" in ending.why
    assert "after the last output" in ending.hint


@pytest.mark.clause("E3")
def test_end_stream_alone_ends_the_input_too(stream: Stream) -> None:
    assert stream.session.receive_end(1.0) == [CloseContainer(1000, discard=True), EndStream()]
    assert stream.session.ending is not None
    assert "without the signed end of W4" in stream.session.ending.why


@pytest.mark.clause("E3")
def test_end_stream_after_the_signed_end_changes_nothing(stream: Stream) -> None:
    stream.send(stream.client.end())
    ending = stream.session.ending
    assert stream.session.receive_end(1.0) == []
    assert stream.session.ending is ending


@pytest.mark.clause("E3")
def test_what_follows_the_signed_end_is_ignored(stream: Stream) -> None:
    end, late = stream.client.end(), stream.client.part(b"late")
    assert stream.send(end + late) == [CloseContainer(1000, discard=True), EndStream()]
    assert stream.send(late) == []
    assert stream.session.parts_received == 0


@pytest.mark.clause("E3")
def test_the_output_that_comes_after_a_half_close_is_lost(stream: Stream) -> None:
    stream.send(stream.client.end())
    assert stream.session.receive_frame(Frame(Opcode.TEXT, b"the transcript"), 1.0) == []
    assert stream.session.receive_close(1000, "") == []


@pytest.mark.clause("E3")
def test_the_code_of_that_close_is_a_setting(client: Any) -> None:
    stream = Stream(client, ContractSettings(half_close_code=1001))
    assert stream.send(client.end())[0] == CloseContainer(1001, discard=True)


@pytest.mark.clause("F7")
def test_end_stream_inside_an_event_is_an_invalid_event_and_no_half_close(stream: Stream) -> None:
    stream.send(stream.client.part(b"cut off")[:-1])
    error = refusal(stream.session, stream.session.receive_end(1.0))
    assert "event 1: the stream ended after" in error.message


@pytest.mark.clause("E3")
def test_a_client_that_is_gone_closes_the_container_and_is_sent_nothing(stream: Stream) -> None:
    outputs = stream.session.receive_reset("RST_STREAM CANCEL from the client")
    assert outputs == [CloseContainer(1001, "client disconnected", discard=True)]
    ending = stream.session.ending
    assert ending is not None
    assert (ending.by, ending.why) == ("client", "RST_STREAM CANCEL from the client")
    assert ending.gone
    assert stream.session.receive_reset("again") == []
    assert stream.session.ending is ending


@pytest.mark.clause("E3")
def test_a_client_that_a_fault_of_the_emulators_has_cut_off_is_not_blamed_for_it(
    stream: Stream,
) -> None:
    stream.session.receive_reset("sent RST_STREAM CANCEL", by="emulator")
    assert stream.session.ending is not None
    assert stream.session.ending.by == "emulator"
