"""The client's side is played to a target, and what comes is held against the recording."""

from __future__ import annotations

import asyncio

import pytest
from websockets.frames import Opcode

from sagemaker_bidi import ManualClock
from sagemaker_bidi.recordings.files import RecordingError
from sagemaker_bidi.recordings.format import Header, Opening, PartEvent
from sagemaker_bidi.replay.play import Outcome, play
from sagemaker_bidi.replay.playback import Playback
from sagemaker_bidi.replay.report import outcome_lines
from sagemaker_bidi.replay.side import Pace
from sagemaker_bidi.replay.targets import Target
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.misbehaving import (
    CloseAfter,
    DieAfter,
    MisbehavingContainer,
    RefuseUpgrade,
)
from sagemaker_bidi_fixtures.containers.server import FrameServer
from tests.recordings.made import closed, delta, done, ended, failed, part, recording

FAST = Pace(speed=0, patience=5)
SHORT = Pace(speed=0, patience=0.2)


class AskedClock(ManualClock):
    """A clock that tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def sleep_until(self, deadline: float) -> None:
        self.asked.set()
        await super().sleep_until(deadline)


def echoed(*texts: str) -> tuple[PartEvent, ...]:
    """What an echo container makes of texts."""
    return tuple(
        event for text in texts for event in (part("client", text), part("container", text))
    )


def answering(*answers: str) -> FrameServer:
    """A container that answers the first message with these."""

    async def answer(connection: FrameSocket) -> None:
        await connection.receive()
        for text in answers:
            await connection.send(Opcode.TEXT, text.encode())
        while await connection.receive() is not None:
            pass

    return FrameServer(answer, port=0)


async def replay(
    container: FrameServer, *events: object, pace: Pace = FAST, **more: object
) -> Outcome:
    """Play events to a container."""
    async with container:
        return await play(
            recording(*events),  # type: ignore[arg-type]
            Target.parse(container.url),
            pace=pace,
            **more,  # type: ignore[arg-type]
        )


async def test_an_answer_as_it_was_recorded_is_alike() -> None:
    outcome = await replay(EchoContainer(port=0), *echoed("one", "two"), ended(), mode="exact")

    assert outcome.alike
    assert (outcome.sent, len(outcome.received)) == (2, 2)
    assert outcome_lines(outcome, [outcome.recording], "exact") == [
        "ok    made.jsonl: 2 frames sent, 2 messages alike (exact)"
    ]


async def test_fragments_are_played_as_fragments() -> None:
    echo = EchoContainer(port=0)
    events = (
        part("client", "a", last=False),
        part("client", "b"),
        part("container", "a", last=False),
        part("container", "b"),
        ended(),
    )

    assert (await replay(echo, *events, mode="exact")).alike
    assert [(frame.payload, frame.fin) for frame in echo.frames[:2]] == [
        (b"a", False),
        (b"b", True),
    ]


async def test_another_answer_is_a_difference_with_its_place_and_the_closest_recording() -> None:
    outcome = await replay(
        answering(done("hello there")),
        part("client", "go"),
        part("container", done("hello here")),
        ended(),
    )
    other = recording(part("container", done("hello there")), name="other")

    assert not outcome.alike
    lines = outcome_lines(outcome, [outcome.recording, other], "json")
    assert lines[0] == "FAIL  made.jsonl: message 1 differs: it was recorded otherwise"
    assert any("- " in line and "hello here" in line for line in lines)
    assert any("+ " in line and "hello there" in line for line in lines)
    assert lines[-1].strip() == "the closest recording is other.jsonl: 1 of 1 message alike"


async def test_a_message_too_few_ends_the_wait_and_is_named() -> None:
    outcome = await replay(
        answering("one"),
        part("client", "go"),
        part("container", "one"),
        part("container", "two"),
        ended(),
        pace=SHORT,
    )

    assert outcome.problem == (
        "before the session ends, 2 messages were recorded; 1 came, within 0.2 s"
    )


async def test_a_message_too_many_is_a_difference() -> None:
    outcome = await replay(
        answering("one", "two"), part("client", "go"), part("container", "one"), ended()
    )

    assert outcome.difference is not None
    assert outcome.difference.lines()[0] == "message 2 differs: 1 were recorded, 2 came"


async def test_the_text_is_alike_when_it_comes_in_other_pieces() -> None:
    target = answering(delta("hello"), done("hello"))
    events = (
        part("client", "go"),
        *(part("container", delta(letter)) for letter in "hello"),
        part("container", done("hello")),
        ended(),
    )

    assert (await replay(target, *events, mode="text")).alike


async def test_nothing_is_said_before_what_was_heard_by_then() -> None:
    order: list[str] = []

    async def slow(connection: FrameSocket) -> None:
        for text in ("first", "second"):
            frame = await connection.receive()
            assert frame is not None
            order.append(bytes(frame.data).decode())
            for _ in range(20):
                await asyncio.sleep(0)
            order.append(text)
            await connection.send(Opcode.TEXT, text.encode())
        await connection.receive()

    events = (
        part("client", "one"),
        part("container", "first"),
        part("client", "two"),
        part("container", "second"),
        ended(),
    )

    assert (await replay(FrameServer(slow, port=0), *events)).alike
    assert order == ["one", "first", "two", "second"]


@pytest.mark.parametrize(
    ("speed", "scale", "seconds"), [(1.0, 1.0, 4.0), (2.0, 1.0, 2.0), (1.0, 8.0, 0.5)]
)
async def test_the_recorded_timing_is_kept_at_any_speed(
    speed: float, scale: float, seconds: float
) -> None:
    clock = ManualClock()
    made = recording(
        part("client", "one"),
        part("client", "two", ms=4000),
        ended(),
        header=Header(provenance="scripted", time_scale=scale),
    )
    async with EchoContainer(port=0) as echo:
        playing = asyncio.create_task(
            play(made, Target.parse(echo.url), mode="exact", pace=Pace(speed), clock=clock)
        )
        async with asyncio.timeout(10):
            await echo.wait_for_frames(1)
            await clock.advance(seconds - 0.01)
            assert len(echo.frames) == 1
            await clock.advance(0.01)
            await echo.wait_for_frames(2)
            while not playing.done():
                await asyncio.sleep(0)
                await clock.advance(0.1)

    assert playing.result().sent == 2


@pytest.mark.parametrize(
    ("behaviour", "recorded", "problem"),
    [
        (CloseAfter(1, 1011, "died"), (closed(1011, "died"), ended("container")), ""),
        (CloseAfter(1, 1011, "died"), (closed(1011, "other"), ended("container")), ""),
        (
            CloseAfter(1, 1008, "no"),
            (closed(1011, "died"), ended("container")),
            "the session ended with Close 1011 (died), now with Close 1008 (no)",
        ),
        (DieAfter(1), (closed(1006), ended("container")), ""),
        (
            CloseAfter(1),
            (failed("ModelStreamError", "1011", "died"), ended("container")),
            "the session ended with ModelStreamError 1011, now with Close 1000 (no reason)",
        ),
        (CloseAfter(1, 1011), (failed("ModelStreamError", "1011", ""), ended("container")), ""),
        (
            CloseAfter(1, 1011, "died"),
            (ended("container"),),
            "the session ended cleanly, now with Close 1011 (died)",
        ),
        (
            CloseAfter(1, 1011, "died"),
            (ended(),),
            "the target ended the session, which it did not in the recording: Close 1011 (died)",
        ),
        # Nothing tells how it ended.
        (CloseAfter(1, 1011, "died"), (), ""),
    ],
)
async def test_the_end_is_compared_too(
    behaviour: CloseAfter | DieAfter, recorded: tuple[object, ...], problem: str
) -> None:
    container = MisbehavingContainer(behaviour, port=0)

    assert (await replay(container, *echoed("one"), *recorded)).problem == problem


async def test_the_reason_of_a_close_counts_when_compared_exactly() -> None:
    container = MisbehavingContainer(CloseAfter(1, 1011, "died"), port=0)
    outcome = await replay(
        container, *echoed("one"), closed(1011, "other"), ended("container"), mode="exact"
    )

    assert "Close 1011 (other), now with Close 1011 (died)" in outcome.problem


async def test_a_target_that_does_not_end_the_session_is_told_from_one_that_does() -> None:
    outcome = await replay(
        EchoContainer(port=0), *echoed("one"), closed(1000), ended("container"), pace=SHORT
    )

    assert outcome.problem == "the target did not end the session as it did in the recording"


@pytest.mark.parametrize("events", [(), (ended(),), (closed(1000), ended("container"))])
async def test_a_recording_with_nothing_to_play_is_an_error(events: tuple[object, ...]) -> None:
    with pytest.raises(RecordingError, match=r"made.jsonl: plays nothing"):
        await replay(EchoContainer(port=0), *events)


async def test_a_redacted_recording_cannot_be_played_and_says_why() -> None:
    event = PartEvent(ms=0, sender="client", type="UTF8", size=1, sha256="00")
    with pytest.raises(RecordingError, match=r"made.jsonl:2: the payload was left out"):
        await replay(EchoContainer(port=0), event, ended())


async def test_a_target_that_refuses_is_no_match_and_one_that_should_is() -> None:
    refusal = Opening(ms=0, sender="emulator", type="ModelError", status=424)
    refusing = MisbehavingContainer(RefuseUpgrade(503), port=0)
    outcome = await replay(refusing, *echoed("one"), ended())
    assert "no stream was opened" in outcome.problem
    assert "HTTP 503" in outcome.problem

    assert (await replay(MisbehavingContainer(RefuseUpgrade(500), port=0), refusal)).alike
    opened = await replay(EchoContainer(port=0), refusal)
    assert opened.problem == "it was refused with HTTP 424 ModelError, now it was opened"


async def test_a_client_that_says_something_else_is_found_out_by_the_played_container() -> None:
    recorded = recording(*echoed("one", "two"), ended())
    said = recording(*echoed("one", "TWO"), ended(), name="said")
    async with Playback([recorded]) as container:
        await play(said, Target.parse(container.url), pace=FAST)
        (played,) = await container.wait_for_played(1)

    assert not played.alike
    assert played.difference is not None
    assert played.difference.at == 2


async def test_a_client_that_leaves_early_is_found_out_by_the_played_container() -> None:
    recorded = recording(*echoed("one", "two"), ended())
    async with Playback([recorded]) as container:
        await play(recording(*echoed("one"), ended()), Target.parse(container.url), pace=FAST)
        (played,) = await container.wait_for_played(1)

    assert played.problem == "the client left after 1 messages, before 1 frames were said"


async def test_a_played_container_gives_each_connection_its_recording_and_then_refuses() -> None:
    first, second = recording(*echoed("one"), ended()), recording(*echoed("two"), ended())
    async with Playback([first, second], mode="exact") as container:
        target = Target.parse(container.url)
        assert (await play(first, target, pace=FAST)).alike
        assert (await play(second, target, pace=FAST)).alike
        assert "HTTP 503" in (await play(first, target, pace=FAST)).problem
        assert container.refused == 1


async def test_a_played_container_repeats_itself_where_asked() -> None:
    made = recording(*echoed("one"), ended())
    async with Playback([made], repeat=True) as container:
        for _ in range(3):
            assert (await play(made, Target.parse(container.url), pace=FAST)).alike
        assert [each.alike for each in await container.wait_for_played(3)] == [True] * 3


async def test_a_played_container_keeps_the_recorded_timing() -> None:
    clock = AskedClock()
    made = recording(part("client", "one"), part("container", "late", ms=2000), ended())
    async with Playback([made], pace=Pace(1.0), clock=clock) as container:
        playing = asyncio.create_task(play(made, Target.parse(container.url), pace=FAST))
        async with asyncio.timeout(10):
            await clock.asked.wait()
            assert not playing.done()
            await clock.advance(2.0)
            outcome = await playing

    assert outcome.alike


@pytest.mark.parametrize(
    ("given", "url", "path"),
    [
        ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080", ""),
        ("ws://127.0.0.1:8081/v1/realtime", "ws://127.0.0.1:8081", "/v1/realtime"),
        ("ws://host/v1?a=b", "ws://host:8080", "/v1?a=b"),
        ("https://host:8443/voxtral", "https://host:8443/voxtral", ""),
    ],
)
def test_a_target_is_a_container_with_or_without_a_path_or_an_endpoint(
    given: str, url: str, path: str
) -> None:
    assert Target.parse(given) == Target(url, path)


async def test_the_recorded_path_is_asked_for_unless_the_target_has_one() -> None:
    made = recording(*echoed("one"), ended(), header=Header(provenance="scripted", path="/a?b=c"))
    async with EchoContainer(port=0, paths=("/a", "/other")) as echo:
        await play(made, Target.parse(echo.url), pace=FAST)
        await play(made, Target.parse(f"{echo.url}/other"), pace=FAST)

    assert [request.path for request in echo.requests] == ["/a?b=c", "/other"]
