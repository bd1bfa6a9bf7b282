"""HAR: what Chrome writes of a WebSocket can be played, and recordings can be looked at there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.recordings.files import RecordingError, read_recording
from emulator.recordings.format import End, FrameEvent, Header, PartEvent
from emulator.recordings.har import from_har, to_har
from emulator.recordings.script import script_of
from tests.recordings.made import ended, part, recording
from tests.recordings.make_sessions import SESSIONS

CHROME = {
    "log": {
        "version": "1.2",
        "entries": [
            {"request": {"url": "https://example.com/"}},
            {
                "_resourceType": "websocket",
                "startedDateTime": "2026-01-01T00:00:00.000Z",
                "request": {
                    "url": "ws://model:8080/talk?token=abc",
                    "headers": [{"name": "Authorization", "value": "Bearer abc"}],
                },
                "_webSocketMessages": [
                    {"type": "send", "time": 100.0, "opcode": 1, "data": "hello"},
                    {"type": "receive", "time": 100.25, "opcode": 2, "data": "AP8="},
                    {"type": "receive", "time": 100.5, "opcode": 9, "data": ""},
                ],
            },
        ],
    }
}


def file(folder: Path, document: object) -> Path:
    path = folder / "a.har"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_session_of_chrome_s_becomes_a_recording(tmp_path: Path) -> None:
    header, events = from_har(file(tmp_path, CHROME), provenance="real engine")

    assert events == (
        FrameEvent(ms=0, sender="client", type="TEXT", fin=True, text="hello"),
        FrameEvent(ms=250, sender="container", type="BINARY", fin=True, base64="AP8="),
        End(ms=250, sender="client", type="clean"),
    )
    assert (header.provenance, header.target) == ("real engine", "ws://model:8080")
    assert (header.path, header.redacted) == ("/talk?token=REDACTED", ("query",))


def test_no_header_of_the_request_is_taken_over(tmp_path: Path) -> None:
    header, events = from_har(file(tmp_path, CHROME), provenance="scripted")

    assert "abc" not in f"{header} {events}"


def test_what_answered_has_to_be_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not tell what answered; give --provenance"):
        from_har(file(tmp_path, CHROME))


@pytest.mark.parametrize("name", ["errors", "two-utterances", "fragments"])
def test_a_recording_comes_back_from_har_message_for_message(name: str, tmp_path: Path) -> None:
    before = read_recording(SESSIONS / f"{name}.jsonl")
    if name == "fragments":
        # Its last message is no UTF-8, which HAR cannot hold.
        events = tuple(e for e in before.events if getattr(e, "base64", None) != "//4=")
        before = recording(*events, header=before.header)

    header, events = from_har(file(tmp_path, to_har(before)))
    old, new = script_of(before), script_of(recording(*events))

    assert header == before.header
    assert [m.payload for m in new.client_messages] == [m.payload for m in old.client_messages]
    assert [m.payload for m in new.container_messages] == [
        m.payload for m in old.container_messages
    ]
    assert [s.heard for s in new.client][-1] == [s.heard for s in old.client][-1]


def test_a_har_file_is_what_chrome_reads() -> None:
    made = recording(
        part("client", "caf\u00e9", ms=1.5),
        PartEvent(ms=2, sender="container", base64="AP8="),
        ended(),
        header=Header(
            provenance="scripted",
            target="ws://model:8080",
            path="/talk",
            recorded="2026-01-01T00:00:00.000Z",
        ),
    )
    entry: dict[str, Any] = json.loads(to_har(made))["log"]["entries"][0]

    assert entry["request"]["url"] == "ws://model:8080/talk"
    assert entry["startedDateTime"] == "2026-01-01T00:00:00.000Z"
    assert entry["_webSocketMessages"] == [
        {"type": "send", "time": 1767225600.0015, "opcode": 1, "data": "caf\u00e9"},
        {"type": "receive", "time": 1767225600.002, "opcode": 2, "data": "AP8="},
    ]


def test_text_that_is_no_utf_8_and_redacted_payloads_are_refused() -> None:
    broken = PartEvent(ms=0, sender="client", type="UTF8", base64="/w==")
    redacted = PartEvent(ms=0, sender="client", type="UTF8", size=1, sha256="00")

    with pytest.raises(RecordingError, match="is text and no UTF-8, which HAR cannot hold"):
        to_har(recording(broken, ended()))
    with pytest.raises(RecordingError, match="the payload was left out"):
        to_har(recording(redacted, ended()))


def entry_with(*messages: object) -> dict[str, Any]:
    return {"log": {"entries": [{"_webSocketMessages": list(messages)}]}}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("no JSON", "is no HAR file"),
        ({"log": {}}, "is no HAR file"),
        ({"log": {"entries": []}}, "there is no number 1"),
        (entry_with(), "holds no messages"),
        (entry_with({"type": "send", "opcode": 1, "data": ""}), "a message has no time"),
        (entry_with({"type": "?", "time": 1, "data": ""}), "message 1: expected type send"),
        (
            entry_with({"type": "send", "time": 1, "opcode": 2, "data": "?"}),
            "message 1: its data is no base64",
        ),
        (entry_with({"type": "send", "time": 1, "opcode": 9, "data": ""}), "nothing to play"),
        (
            {"log": {"entries": entry_with({})["log"]["entries"] * 2}},
            "holds 2 WebSocket sessions; give --entry 1 to 2",
        ),
    ],
)
def test_a_har_file_that_cannot_be_played_is_refused(
    tmp_path: Path, document: object, said: str
) -> None:
    with pytest.raises(RecordingError, match=r"a\.har: ") as caught:
        from_har(file(tmp_path, document), provenance="scripted")

    assert said in str(caught.value)
