"""vLLM's Realtime messages."""

import base64
import json

import pytest

from sagemaker_bidi_client import realtime
from sagemaker_bidi_client.realtime import (
    Delta,
    Done,
    ErrorEvent,
    SessionCreated,
    Transcript,
    Unknown,
    Usage,
)


def test_client_messages_have_the_shapes_that_vllm_reads() -> None:
    assert json.loads(realtime.session_update("voxtral")) == {
        "type": "session.update",
        "model": "voxtral",
    }
    assert json.loads(realtime.commit()) == {"type": "input_audio_buffer.commit", "final": False}
    assert json.loads(realtime.commit(final=True))["final"] is True
    message = json.loads(realtime.append(b"\x01\x02\x03\x04"))
    assert message["type"] == "input_audio_buffer.append"
    assert base64.b64decode(message["audio"]) == b"\x01\x02\x03\x04"


@pytest.mark.parametrize("pcm", [b"", b"\x01\x02\x03"])
def test_an_append_of_half_a_sample_or_nothing_is_refused(pcm: bytes) -> None:
    with pytest.raises(ValueError, match="whole 16-bit samples"):
        realtime.append(pcm)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"type": "session.created", "id": "sess-1", "created": 7}, SessionCreated("sess-1")),
        ({"type": "transcription.delta", "delta": " fox"}, Delta(" fox")),
        ({"type": "transcription.done", "text": "a fox"}, Done("a fox")),
        (
            {
                "type": "transcription.done",
                "text": "a",
                "usage": {
                    "prompt_tokens": 39,
                    "total_tokens": 87,
                    "completion_tokens": 48,
                    "prompt_tokens_details": None,
                },
            },
            Done("a", Usage(39, 48, 87)),
        ),
        (
            {"type": "error", "error": "no", "code": "invalid_audio"},
            ErrorEvent("no", "invalid_audio"),
        ),
        ({"type": "error", "error": "no"}, ErrorEvent("no")),
        ({"type": "error", "error": {"message": "no", "code": "x"}}, ErrorEvent("no", "x")),
        ({"type": "rate_limits.updated"}, Unknown("rate_limits.updated")),
    ],
)
def test_server_messages_become_events(message: object, event: object) -> None:
    assert realtime.parse(json.dumps(message)) == event
    assert realtime.parse(json.dumps(message).encode()) == event


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("<html>", "aren't JSON"),
        (b"\xff\xfe", "2 bytes that aren't JSON"),
        ("[1]", "got a list"),
        ("null", "got nothing"),
        ("{}", 'expected a "type"'),
        ('{"type": 3}', "got a number"),
        ('{"type": "transcription.delta"}', '"delta" of the model\'s transcription.delta'),
        ('{"type": "transcription.done", "text": true}', "got true or false"),
        ('{"type": "session.created", "id": {}}', "got an object"),
        ('{"type": "error", "error": {"code": "x"}}', '"error", got an object'),
    ],
)
def test_what_is_no_realtime_message_is_told_apart(data: str | bytes, says: str) -> None:
    with pytest.raises(realtime.RealtimeError) as told:
        realtime.parse(data)
    assert says in str(told.value)


def test_an_error_never_repeats_what_was_said() -> None:
    with pytest.raises(realtime.RealtimeError) as told:
        realtime.parse('{"type": "transcription.delta", "text": "my secret"}')
    assert "secret" not in str(told.value)


def test_a_transcript_adds_up_its_deltas() -> None:
    transcript = Transcript()
    said: list[realtime.ServerEvent] = [SessionCreated("s"), Delta(""), Delta(" a"), Delta(" fox")]
    for event in said:
        transcript.receive(event)
    assert (transcript.text, transcript.deltas, transcript.empty_deltas) == (" a fox", 3, 1)
    assert transcript.done is None


def test_the_final_text_has_the_last_word() -> None:
    transcript = Transcript()
    transcript.receive(Delta(" a fax"))
    transcript.receive(Done(" a fox", Usage(1, 2, 3)))
    assert transcript.text == " a fox"
    assert transcript.done == Done(" a fox", Usage(1, 2, 3))
