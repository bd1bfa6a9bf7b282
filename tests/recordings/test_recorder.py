"""The recorder: one file for each session, whole, bounded, and without secrets."""

from __future__ import annotations

import base64
import dataclasses
import logging
import os
import time
from pathlib import Path

import pytest

from sagemaker_bidi.contract.frames import Part
from sagemaker_bidi.recordings.files import Recording, read_recording
from sagemaker_bidi.recordings.format import (
    Control,
    End,
    ErrorEvent,
    Event,
    Header,
    Opening,
    PartEvent,
)
from sagemaker_bidi.recordings.recorder import Recorder
from sagemaker_bidi.tap import Passage
from sagemaker_bidi_fixtures.containers.misbehaving import (
    CloseAfter,
    DieAfter,
    MisbehavingContainer,
    RefuseUpgrade,
    SendPings,
)
from tests.transport.lean_client import KEY
from tests.transport.world import World, world

MODEL = "ModelStreamError"
HEADER = Header(provenance="stand-in", vllm="0.32", hardware="a laptop")


def only(recorder: Recorder) -> Recording:
    """The one recording that was written."""
    (path,) = recorder.written
    assert files(recorder.directory) == [path]
    return read_recording(path)


def files(folder: Path) -> list[Path]:
    """What is in a folder."""
    return sorted(folder.iterdir())


def timeless(events: tuple[Event, ...]) -> list[Event]:
    """Events without their times, which differ from run to run."""
    return [dataclasses.replace(event, ms=0.0) for event in events]


async def talk(there: World, *parts: tuple[bytes, str | None, str | None]) -> None:
    """Send parts, have them echoed, close the input, and wait for the session's end."""
    stream = await there.client.open("echo")
    for part in parts:
        await stream.send(*part)
        assert await stream.receive() is not None
    await stream.close_input()
    await stream.finished()
    await there.watch.session_ended()


async def test_a_session_is_recorded_part_for_part_as_the_client_sent_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "new", header=HEADER)
    async with world(taps=[recorder]) as there:
        await talk(there, (b"caf\xc3\xa9", "UTF8", "COMPLETE"), (b"\xff", None, None))
    found = only(recorder)

    assert timeless(found.events) == [
        Opening(ms=0, sender="emulator", type="accepted", status=200),
        PartEvent(ms=0, sender="client", type="UTF8", state="COMPLETE", text="caf\u00e9"),
        PartEvent(ms=0, sender="container", type="UTF8", state="COMPLETE", text="caf\u00e9"),
        PartEvent(ms=0, sender="client", base64="/w=="),
        PartEvent(ms=0, sender="container", type="BINARY", state="COMPLETE", base64="/w=="),
        Control(ms=0, sender="emulator", type="CLOSE", code=1000),
        End(ms=0, sender="client", type="clean", clause="E3"),
    ]
    times = [event.ms for event in found.events]
    assert times == sorted(times)


async def test_the_header_tells_what_was_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, header=HEADER)
    async with world(taps=[recorder]) as there:
        await talk(there)
        target, session = there.container.url, there.record.id
    header = only(recorder).header

    assert (header.provenance, header.vllm, header.hardware) == ("stand-in", "0.32", "a laptop")
    assert (header.endpoint, header.variant, header.session) == ("echo", "AllTraffic", session)
    assert (header.target, header.path) == (target, "/invocations-bidirectional-stream")
    assert header.recorded.endswith("Z")
    assert header.made_with.startswith("sagemaker-bidi")


async def test_a_redacted_recording_has_no_payload_and_says_so(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, header=HEADER, redact=True)
    async with world(taps=[recorder]) as there:
        await talk(there, (b"secret words", "UTF8", "COMPLETE"))
    found = only(recorder)

    assert found.header.redacted == ("payloads",)
    assert "secret" not in found.path.read_text()
    sizes = [event.size for event in found.events if isinstance(event, PartEvent)]
    assert sizes == [12, 12]


async def test_a_redacted_recording_has_no_text_of_an_error_or_a_close_frame(
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path, header=HEADER, redact=True)
    dying = MisbehavingContainer(CloseAfter(1, 1011, "cannot hear: secret words"))
    async with world(dying, taps=[recorder]) as there:
        stream = await there.client.open()
        await stream.send(b"hello", "UTF8")
        await stream.finished()
        await there.watch.session_ended()
    found = only(recorder)

    assert "secret" not in found.path.read_text()
    assert [event.code for event in found.events if isinstance(event, ErrorEvent)] == ["1011"]


async def test_a_recording_and_a_folder_made_for_it_are_their_owners_alone(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "new", header=HEADER)
    async with world(taps=[recorder]) as there:
        await talk(there, (b"hello", "UTF8", "COMPLETE"))

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert only(recorder).path.stat().st_mode & 0o777 == 0o600


async def test_what_has_passed_is_on_file_before_the_session_ends(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, header=HEADER)
    async with world(taps=[recorder]) as there:
        stream = await there.client.open()
        await there.exchange(stream, b"hello")
        # What a process that is killed now leaves behind.
        (left,) = tmp_path.iterdir()  # noqa: ASYNC240
        events = read_recording(left).events
        stream.cancel()
        await there.watch.session_ended()

    parts = [event.text for event in events if isinstance(event, PartEvent)]
    assert parts == ["hello", "hello"]


async def test_recordings_that_are_older_than_they_may_be_go_and_nothing_else(
    tmp_path: Path,
) -> None:
    recorded = "echo-20260102T030405678Z-1a2b3c4d.jsonl"
    old, left, young, kept = (
        tmp_path / name
        for name in (
            recorded,
            recorded.replace("1a2b", "2a2b") + ".partial",
            recorded.replace("1a2b", "3a2b"),
            "kept.jsonl",
        )
    )
    for path in (old, left, young, kept):
        path.write_text("")
        days = 2.9 if path is young else 3.1
        os.utime(path, (time.time() - days * 86_400,) * 2)
    recorder = Recorder(tmp_path, header=HEADER, keep_days=3)
    async with world(taps=[recorder]) as there:
        await talk(there, (b"hello", "UTF8", "COMPLETE"))

    assert {*tmp_path.iterdir()} == {young, kept, *recorder.written}  # noqa: ASYNC240


async def test_no_signature_and_no_token_is_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, header=HEADER)
    async with world(taps=[recorder]) as there:
        stream = await there.client.open(
            "echo",
            {"x-amzn-sagemaker-model-query-string": "lang=fr&session_token=abcdef"},
        )
        await stream.send(b"hello", "UTF8")
        await stream.receive()
        await stream.close_input()
        await stream.finished()
        await there.watch.session_ended()
    found = only(recorder)
    text = found.path.read_text().lower()

    assert found.header.path.endswith("?lang=fr&session_token=REDACTED")
    assert found.header.redacted == ("query",)
    for secret in ("abcdef", "signature", "aws4", KEY[0].lower(), KEY[1].lower()):
        assert secret not in text


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (
            CloseAfter(1, 1011, "engine died"),
            [
                Control(ms=0, sender="container", type="CLOSE", code=1011, text="engine died"),
                ErrorEvent(
                    ms=0,
                    sender="emulator",
                    type=MODEL,
                    code="1011",
                    text="engine died",
                ),
                End(ms=0, sender="container", type="error", clause="E1"),
            ],
        ),
        (
            CloseAfter(1, 1000),
            [
                Control(ms=0, sender="container", type="CLOSE", code=1000),
                End(ms=0, sender="container", type="clean", clause="E2"),
            ],
        ),
        (
            DieAfter(1),
            [
                Control(ms=0, sender="container", type="CLOSE", code=1006),
                ErrorEvent(
                    ms=0,
                    sender="emulator",
                    type=MODEL,
                    code="StreamBroken",
                    text="Model container closed the connection.",
                ),
                End(ms=0, sender="container", type="error", clause="E6"),
            ],
        ),
    ],
)
async def test_the_container_s_end_is_recorded_with_what_the_client_was_told(
    tmp_path: Path, behaviour: CloseAfter | DieAfter, expected: list[Event]
) -> None:
    recorder = Recorder(tmp_path, header=HEADER)
    async with world(MisbehavingContainer(behaviour, port=0), taps=[recorder]) as there:
        stream = await there.client.open("echo")
        await stream.send(b"one", "UTF8")
        await stream.finished()
        await there.watch.session_ended()

    assert timeless(only(recorder).events)[3:] == expected


async def test_pings_of_the_container_are_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, header=HEADER)
    async with world(MisbehavingContainer(SendPings((b"hi",)), port=0), taps=[recorder]) as there:
        await talk(there, (b"one", "UTF8", "COMPLETE"))
    pings = [event for event in only(recorder).events if isinstance(event, Control)][:1]

    assert timeless(tuple(pings)) == [
        Control(ms=0, sender="container", type="PING", base64=base64.b64encode(b"hi").decode())
    ]


async def test_a_refusal_of_the_container_is_a_recording(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, header=HEADER)
    async with world(MisbehavingContainer(RefuseUpgrade(503), port=0), taps=[recorder]) as there:
        stream = await there.client.open("echo")
        await stream.finished()
    found = only(recorder)

    assert found.refusal is not None
    assert (found.refusal.type, found.refusal.status) == ("ModelError", 424)
    assert found.end == End(ms=0, sender="emulator", type="refused", clause="O4")


async def test_what_is_refused_before_it_is_an_endpoint_s_is_not_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, header=HEADER)
    async with world(taps=[recorder]) as there:
        stream = await there.client.open("no-such")
        await stream.finished()

    assert files(tmp_path) == []


async def test_sessions_at_once_have_a_file_each(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, header=HEADER)
    async with world(taps=[recorder]) as there:
        streams = [await there.client.open("echo") for _ in range(3)]
        for number, stream in enumerate(streams):
            await stream.send(b"%d" % number, "UTF8")
            await stream.receive()
        for stream in streams:
            await stream.close_input()
            await stream.finished()
        await there.watch.session_ended(3)
    texts = {
        event.text
        for path in recorder.written
        for event in read_recording(path).events
        if isinstance(event, PartEvent)
    }

    assert len(recorder.written) == 3
    assert texts == {"0", "1", "2"}


async def test_a_folder_that_cannot_be_written_costs_the_recording_and_not_the_session(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    recorder = Recorder(tmp_path / "file", header=HEADER)
    with caplog.at_level(logging.ERROR, "bidi.recorder"):
        async with world(taps=[recorder]) as there:
            await talk(there, (b"one", "UTF8", "COMPLETE"))

    assert "is not recorded" in caplog.text
    assert str(tmp_path / "file") in caplog.text
    assert not recorder.written


async def test_a_disk_that_fills_up_costs_the_recording_and_not_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path, header=HEADER)

    def full(self: object, event: Event) -> None:
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.ERROR, "bidi.recorder"):
        async with world(taps=[recorder]) as there:
            stream = await there.client.open("echo")
            monkeypatch.setattr("sagemaker_bidi.recordings.files.Writer.write", full)
            await there.exchange(stream)
            await there.exchange(stream)
            await stream.close_input()
            await stream.finished()
            await there.watch.session_ended()

    assert caplog.text.count("No space left on device") == 1
    assert files(tmp_path) == []


def test_what_passes_in_no_session_is_nobody_s(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, header=HEADER)
    recorder.passed("gone", Passage(0.0, "client", "sent", Part(b"late")))
    recorder.ended("gone", None, 0.0)

    assert files(tmp_path) == []
