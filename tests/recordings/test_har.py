"""HAR: what Chrome writes of a WebSocket can be played, and recordings can be looked at there."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi.recordings.files import Recording, RecordingError, read_recording
from sagemaker_bidi.recordings.format import Control, End, FrameEvent, Header, PartEvent
from sagemaker_bidi.recordings.har import to_har
from sagemaker_bidi.recordings.har_import import from_har
from sagemaker_bidi.recordings.script import script_of
from tests.recordings.made import HEADER, ended, part, recording
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


def test_an_address_that_is_none_is_named() -> None:
    made = recording(part("client", "a"), header=Header(provenance="scripted", target="ws://[x"))

    with pytest.raises(RecordingError, match=r"made\.jsonl: its target is no address: Invalid"):
        to_har(made)


def there_and_back(folder: Path, before: Recording) -> Recording:
    header, events = from_har(file(folder, to_har(before)))
    return recording(*events, header=header)


def test_har_has_the_wall_s_times_and_gives_the_recording_s_back(tmp_path: Path) -> None:
    fast = dataclasses.replace(HEADER, time_scale=60.0, recorded="2026-01-01T00:00:00.000Z")
    before = recording(part("client", "a"), part("container", "b", ms=120_000.0), header=fast)
    entry = json.loads(to_har(before))["log"]["entries"][0]
    after = there_and_back(tmp_path, before)

    assert [m["time"] for m in entry["_webSocketMessages"]] == [1767225600.0, 1767225602.0]
    assert entry["time"] == 2000.0
    assert after.header == fast
    assert [event.ms for event in after.events] == [0.0, 120_000.0]
    assert script_of(after).container[0].seconds == 2.0


@pytest.mark.parametrize(
    ("name", "finish"),
    [
        ("close-1000", ("container", 1000, "")),
        ("close-1011", ("container", 1011, "engine died")),
        ("connection-lost", (None, None, "")),
        ("errors", ("client", None, "")),
    ],
)
def test_the_end_comes_back_as_the_close_frame_that_it_was_and_is_not_made_up(
    name: str, finish: tuple[object, ...], tmp_path: Path
) -> None:
    after = there_and_back(tmp_path, read_recording(SESSIONS / f"{name}.jsonl"))
    found = script_of(after).finish

    assert (found.by, found.code, found.reason) == finish
    assert (after.end is None) == (name == "connection-lost")


@pytest.mark.parametrize("data", ["", "A/M=?", "AAA=", "bye"])
def test_a_close_frame_that_does_not_tell_its_code_has_none(tmp_path: Path, data: str) -> None:
    document = entry_with(message(), message(data, kind="receive", time=2, opcode=8))
    _, events = from_har(file(tmp_path, document), provenance="scripted")

    assert events[1:] == (
        Control(ms=1000, sender="container", type="CLOSE", code=1005),
        End(ms=1000, sender="container", type="clean"),
    )


def test_messages_are_played_in_the_order_of_their_times(tmp_path: Path) -> None:
    document = entry_with(message("b", time=3), message("c", time=4), message("a", time=2.5))
    _, events = from_har(file(tmp_path, document), provenance="scripted")

    assert [(e.ms, e.text) for e in events if isinstance(e, FrameEvent)] == [
        (0, "a"),
        (500, "b"),
        (1500, "c"),
    ]


def test_a_refusal_is_one_in_har_too_and_comes_back(tmp_path: Path) -> None:
    before = read_recording(SESSIONS / "refused.jsonl")
    response = json.loads(to_har(before))["log"]["entries"][0]["response"]
    after = there_and_back(tmp_path, before)

    assert (response["status"], response["statusText"]) == (424, "ModelError")
    assert (after.header, after.refusal) == (before.header, before.refusal)
    assert after.end == End(ms=0, sender="emulator", type="refused")


def test_a_password_in_an_address_is_not_taken_over(tmp_path: Path) -> None:
    document = entry_with(message(), request={"url": "ws://me:hidden@model:8080/talk"})
    header, _ = from_har(file(tmp_path, document), provenance="scripted")

    assert header.target == "ws://model:8080"


def entry_with(*messages: object, **more: object) -> dict[str, Any]:
    return {"log": {"entries": [{"_webSocketMessages": list(messages), **more}]}}


def message(
    data: str = "", *, kind: str = "send", time: float = 1, opcode: int = 1
) -> dict[str, Any]:
    return {"type": kind, "time": time, "opcode": opcode, "data": data}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("no JSON", "is no HAR file"),
        ({"log": {}}, "is no HAR file"),
        ({"log": {"entries": []}}, "there is no number 1"),
        (entry_with(), "holds no messages"),
        (
            entry_with({"type": "send", "opcode": 1, "data": ""}),
            "message 1: has no time; expected seconds",
        ),
        (entry_with({"type": "?", "time": 1, "data": ""}), "message 1: expected type send"),
        (
            entry_with({"type": "send", "time": 1, "opcode": 2, "data": "?"}),
            "message 1: its data is no base64",
        ),
        (entry_with({"type": "send", "time": 1, "opcode": 9, "data": ""}), "nothing to play"),
        (entry_with(message(opcode=8)), "nothing to play"),
        (entry_with(message(), 5), "session 1: message 2: is no object"),
        (entry_with(message(), message(time=math.nan)), "session 1: message 2: has no time"),
        (entry_with(message(time=1767225600000)), "message 1: has no time; expected seconds"),
        (entry_with({**message(), "time": True}), "message 1: has no time"),
        (entry_with({**message(), "type": ["send"]}), "message 1: expected type send"),
        (entry_with({**message(), "data": None}), "message 1: data: is no text"),
        (
            entry_with(message("caf\u00e9 \ud83c")),
            "message 1: data: character 6 is half of a surrogate pair",
        ),
        (entry_with(message("caf\u00e9", opcode=2)), "message 1: its data is no base64"),
        (entry_with(message(), request=None), "session 1: request: is no object"),
        (entry_with(message(), request={"url": 5}), "session 1: request.url: is no text"),
        (entry_with(message(), request={"url": "ws://[x"}), "request.url is no address: Invalid"),
        (entry_with(message(), startedDateTime={}), "session 1: startedDateTime: is no text"),
        (entry_with(response=None), "session 1: response: is no object"),
        (entry_with(response={"status": 101}), "holds no messages, so there is nothing to play"),
        ("[" * 100_000, "is no HAR file"),
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
