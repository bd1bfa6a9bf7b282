"""A recording's lines: what is written is read again, and what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_bidi.recordings.files import (
    RecordingError,
    Writer,
    open_recording,
    read_recording,
    write_recording,
)
from sagemaker_bidi.recordings.format import (
    Control,
    End,
    ErrorEvent,
    Event,
    FrameEvent,
    Header,
    Opening,
    PartEvent,
    carried,
    to_line,
)
from sagemaker_bidi.recordings.redaction import hide_secrets, without_machine
from sagemaker_bidi.recordings.schema import PATH, schema
from tests.recordings.made import HEADER, ended, part, written

EVENTS: tuple[Event, ...] = (
    Opening(ms=0, sender="emulator", type="accepted", status=200),
    PartEvent(ms=0.5, sender="client", type="UTF8", state="PARTIAL", text="caf\u00e9\u2028\n"),
    PartEvent(ms=1, sender="client", base64="AP8="),
    FrameEvent(ms=1.25, sender="container", type="CONT", fin=False, text=""),
    Control(ms=2, sender="emulator", type="PING", base64="AA=="),
    Control(ms=3, sender="container", type="CLOSE", code=1011, text="died"),
    ErrorEvent(ms=3, sender="emulator", type="ModelStreamError", code="1011", text="died"),
    End(ms=4, sender="container", type="error", clause="E1"),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    header = Header(provenance="real engine", vllm="0.32", time_scale=60.0, redacted=("query",))
    write_recording(tmp_path / "a.jsonl", header, EVENTS)

    found = read_recording(tmp_path / "a.jsonl")

    assert (found.header, found.events, found.name) == (header, EVENTS, "a")
    assert found.end == EVENTS[-1]


def test_a_line_holds_what_differs_from_the_default_and_readable_text() -> None:
    assert to_line(EVENTS[1]).decode() == (
        '{"ms":0.5,"from":"client","layer":"part","type":"UTF8",'
        '"text":"caf\u00e9\u2028\\n","state":"PARTIAL"}\n'
    )
    assert to_line(HEADER) == b'{"recording":1,"provenance":"scripted"}\n'


@given(st.binary(), st.booleans())
def test_every_payload_comes_back_byte_for_byte(payload: bytes, textual: bool) -> None:
    event = PartEvent(ms=0, sender="client", type="UTF8", **carried(payload, textual=textual))

    assert event.payload == payload
    assert json.loads(to_line(event)).get("text") == event.text


def test_a_redacted_payload_keeps_size_and_type_and_nothing_to_guess_a_word_by() -> None:
    payload = b'{"type": "transcription.delta", "delta": "secret words"}'
    line = to_line(
        PartEvent(ms=0, sender="container", **carried(payload, textual=True, redact=True))
    )

    assert json.loads(line) == {
        "ms": 0,
        "from": "container",
        "layer": "part",
        "size": len(payload),
        "message": "transcription.delta",
    }


@pytest.mark.parametrize("said", ["Tell nobody", "x" * 65, "UPPER", ["list"], None])
def test_a_type_that_looks_like_speech_is_left_out_of_a_redacted_payload(said: object) -> None:
    payload = json.dumps({"type": said}).encode()

    assert carried(payload, textual=True, redact=True)["message"] is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"ms":1,"from":"nobody","layer":"part","text":"a"}', "part.from: Input should be"),
        (b'{"ms":-1,"from":"client","layer":"part","text":"a"}', "ms: Input should be greater"),
        (b'{"ms":1,"from":"client","layer":"part","text":"a","x":1}', "part.x: Unexpected"),
        (b'{"ms":1,"from":"client","layer":"part"}', "give one of text, base64, and size"),
        (b'{"ms":1,"from":"client","layer":"part","text":"","base64":""}', "give one of"),
        (b'{"ms":1,"from":"client","layer":"part","base64":"?"}', "part: "),
        (b'{"ms":1,"from":"client","layer":"part","text":"","sha256":""}', "sha256 goes with size"),
        (b'{"ms":Infinity,"from":"client","layer":"part","text":"a"}', "ms: Input should be"),
        (b'{"ms":1e999,"from":"client","layer":"part","text":"a"}', "ms: Input should be"),
        (b'{"ms":NaN,"from":"client","layer":"part","text":"a"}', "ms: Input should be"),
        (b'{"ms":1e12,"from":"client","layer":"part","text":"a"}', "ms: Input should be less"),
        (
            b'{"ms":1,"from":"client","layer":"control","type":"CLOSE","code":99999999999999999999}',
            "code: ",
        ),
        (b'{"ms":1,"from":"client","layer":"nothing"}', "'nothing' found using 'layer'"),
        (b'{"ms":1,"from":"client","layer":"frame","type":"TEXT","text":""}', "fin: "),
        (b"no JSON", "Invalid JSON"),
        (b"[]", "Input should be"),
        (b'{"recording":1,"provenance":"scripted"}', "layer"),
    ],
)
def test_a_bad_line_is_named_with_its_file_its_number_and_what_is_expected(
    tmp_path: Path, line: bytes, said: str
) -> None:
    path = written(tmp_path, part("client", "hello"))
    path.write_bytes(path.read_bytes() + line + b"\n" + to_line(ended()))

    with pytest.raises(RecordingError) as caught:
        read_recording(path)

    assert str(caught.value).startswith(f"{path}:3: ")
    assert said in str(caught.value)
    assert "expected an event" in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "@evil.example/x",
        ".evil.example/x",
        ":1@evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/a b",
        "/a\r\nHost: evil.example",
        "http://evil.example/",
        "/é",
    ],
)
def test_a_path_that_may_lead_to_another_host_is_refused(tmp_path: Path, path: str) -> None:
    file = tmp_path / "a.jsonl"
    header = {"recording": 1, "provenance": "scripted", "path": path}
    file.write_text(json.dumps(header) + "\n")

    with pytest.raises(RecordingError, match="path has to be empty, or to begin with one slash"):
        read_recording(file)


@pytest.mark.parametrize("scale", ["Infinity", "NaN", "1e999", "0", "1e-300"])
def test_a_scale_of_time_that_a_replay_cannot_go_by_is_refused(tmp_path: Path, scale: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(f'{{"recording":1,"provenance":"scripted","time_scale":{scale}}}\n')

    with pytest.raises(RecordingError, match="time_scale: Input should be"):
        read_recording(file)


def test_a_file_that_an_editor_gave_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, part("client", "hello"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert len(read_recording(path).events) == 1


def test_what_a_killed_process_left_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    path = written(tmp_path, part("client", "hello"), ended())
    partial = path.rename(path.with_name(path.name + ".partial"))
    partial.write_bytes(partial.read_bytes()[:-5])

    found = read_recording(partial)
    assert [event.layer for event in found.events] == ["part"]
    assert found.end is None


def test_no_error_repeats_what_was_said(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(to_line(HEADER) + b'{"ms":1,"from":"secret words","layer":"part"}\n')

    with pytest.raises(RecordingError) as caught:
        read_recording(path)

    assert "secret words" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no recording: the first line has to be a header"),
        (b'{"ms":1,"from":"client","layer":"part","text":""}\n', "the first line has to be a"),
        (b'{"recording":2,"provenance":"scripted"}\n', "version 2; this release reads version 1"),
        (b'{"recording":1,"provenance":"hearsay"}\n', "provenance"),
        (b'{"recording":1}\n', "provenance"),
    ],
)
def test_a_file_without_a_header_of_this_version_is_refused(
    tmp_path: Path, text: bytes, said: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(text)

    with pytest.raises(RecordingError, match=r"a\.jsonl:1: ") as caught:
        read_recording(path)

    assert said in str(caught.value)


def test_a_file_that_was_cut_off_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, part("client", "hello"), ended())
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(RecordingError, match=r"a.*:3: .*was it cut off\?"):
        read_recording(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"none.jsonl: cannot be read: No such file"):
        read_recording(tmp_path / "none.jsonl")


def test_events_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, part("client", "hello"))
    path.write_bytes(path.read_bytes() + b"broken\n")

    with open_recording(path) as (header, events):
        assert header == HEADER
        assert next(events) == part("client", "hello")
        with pytest.raises(RecordingError, match=":3: "):
            next(events)


def test_a_file_has_its_name_only_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    writer = Writer(path, HEADER)
    writer.write(ended())
    assert not path.exists()

    writer.finish()

    assert [each.name for each in path.parent.iterdir()] == ["a.jsonl"]
    assert read_recording(path).events == (ended(),)


def test_a_file_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.jsonl", HEADER)
    writer.discard()

    assert list(tmp_path.iterdir()) == []


def test_the_schema_in_the_repository_is_that_of_the_code() -> None:
    assert PATH.read_text("utf-8") == schema(), "run python -m sagemaker_bidi.recordings.schema"


def test_the_schema_knows_every_layer_and_forbids_what_it_does_not_know() -> None:
    lines = json.loads(schema())["$defs"]
    classes = ["Opening", "PartEvent", "FrameEvent", "Control", "ErrorEvent", "End", "Header"]

    assert set(lines) - {"Event", "Sender", "Origin"} == set(classes)
    assert all(lines[name]["additionalProperties"] is False for name in classes)
    assert all("layer" in lines[name]["required"] for name in classes[:-1])
    assert "recording" in lines["Header"]["required"]


@pytest.mark.parametrize(
    ("path", "shown", "hidden"),
    [
        ("/invocations", "/invocations", False),
        ("/a?model=x&lang=fr", "/a?model=x&lang=fr", False),
        ("/a?api_key=abc&x=1", "/a?api_key=REDACTED&x=1", True),
        ("/a?x=1&X-Amz-Security-Token=abc", "/a?x=1&X-Amz-Security-Token=REDACTED", True),
        ("/a?X-Amz-Signature=0f", "/a?X-Amz-Signature=REDACTED", True),
        ("/a?auth[code]=abc", "/a?auth[code]=REDACTED", True),
        ("/a?%73ig=abc", "/a?%73ig=REDACTED", True),
        ("/a?x=1;pwd=a;bc&y=2", "/a?x=1;pwd=REDACTED&y=2", True),
        ("/a?next=/b?token=abc&y=2", "/a?next=/b?token=REDACTED&y=2", True),
        ("/a?next=%2Fb%3Ftoken%3Dabc&y=2", "/a?next=%2Fb%3Ftoken%3DREDACTED&y=2", True),
        ("/a?jwt=abc==", "/a?jwt=REDACTED", True),
        ("/a?q=eyJhbGci.eyJzdWIi.c2ln&y=2", "/a?q=REDACTED&y=2", True),
        ("/a?q=Bearer%20eyJhbGci.eyJzdWIi.c2ln", "/a?q=Bearer%20REDACTED", True),
        ("/a?eyJhbGci.eyJzdWIi.c2ln", "/a?REDACTED", True),
        ("/a?token=&y=2", "/a?token=&y=2", False),
    ],
)
def test_query_values_that_look_like_secrets_are_left_out(
    path: str, shown: str, hidden: bool
) -> None:
    assert hide_secrets(path) == (shown, hidden)


@pytest.mark.parametrize(
    "name",
    [
        *("jwt", "sig", "pwd", "pass", "passwd", "password", "passphrase", "passcode", "code"),
        *("bearer", "PASS", "db_pass", "userSig", "x-sig", "sig2", "JSESSIONID", "sid", "otp"),
        *("access_code", "access_token", "client_secret", "credential", "idToken"),
    ],
)
def test_the_names_that_secrets_go_by_are_known(name: str) -> None:
    assert hide_secrets(f"/a?x=1&{name}=abc") == (f"/a?x=1&{name}=REDACTED", True)


@pytest.mark.parametrize(
    "name",
    [
        *("model", "lang", "language_code", "country-code", "codec", "encoding", "compass"),
        *("passage", "spin", "sidebar", "session", "status"),
    ],
)
def test_names_that_only_resemble_those_of_secrets_keep_their_values(name: str) -> None:
    assert hide_secrets(f"/a?{name}=abc") == (f"/a?{name}=abc", False)


def test_a_client_is_named_without_its_machine() -> None:
    agent = "aws-sdk-python/0.12.0 os/linux#6.1-mine md/arch#x86_64 lang/python#3.12.1"

    assert without_machine(agent) == "aws-sdk-python/0.12.0 lang/python#3.12.1"
