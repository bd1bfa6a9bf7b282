"""A transcription, against a scripted model."""

import asyncio
from typing import Any

import pytest

from sagemaker_bidi_client import events
from sagemaker_bidi_client.audio import Audio
from sagemaker_bidi_client.errors import (
    ConnectionFailed,
    ModelError,
    StreamBroken,
    StreamEnded,
    StreamError,
    TranscriptMissing,
)
from sagemaker_bidi_client.events import Event
from sagemaker_bidi_client.realtime import Usage
from sagemaker_bidi_client.transcription import Delivery, transcribe
from tests.client.fakes import FakeModel

AUDIO = Audio(bytes(range(256)) * 64, 0.512, 16_000, 1, "WAV PCM_16")
FAST = Delivery(speed=0, open_timeout=5, final_timeout=5)
# As many as Voxtral makes of half a second.
USAGE = {"prompt_tokens": 1, "completion_tokens": 16, "total_tokens": 17}


def delta(text: str) -> dict[str, Any]:
    return {"type": "transcription.delta", "delta": text}


def done(text: str) -> dict[str, Any]:
    return {"type": "transcription.done", "text": text, "usage": USAGE}


def on_final(*answer: Any) -> FakeModel:
    """A model that says nothing but a greeting before the final commit."""
    return FakeModel(lambda message: list(answer) if message.get("final") else [])


async def test_the_messages_go_out_in_vllms_order_and_the_audio_whole() -> None:
    model = on_final(done("a fox"))
    await transcribe(AUDIO, model, FAST)
    assert model.kinds() == ["update", "commit", *["append"] * 4, "final"]
    assert model.sent[0]["model"] == ""
    assert model.audio() == AUDIO.pcm


async def test_the_transcript_comes_with_its_usage_and_counts() -> None:
    model = on_final(delta(""), delta(" a"), delta(" fox"), done(" a fox"))
    result = await transcribe(AUDIO, model, FAST)
    assert (result.text, result.usage) == (" a fox", Usage(1, 16, 17))
    assert (result.chunks, result.deltas, result.empty_deltas) == (4, 3, 1)
    assert (result.variant, result.request_id) == ("AllTraffic", "req-1")


async def test_words_are_told_while_audio_is_still_going_out() -> None:
    model = FakeModel(
        lambda message: {
            "input_audio_buffer.append": [delta(" a")],
            "input_audio_buffer.commit": [done(" a a a a")] if message.get("final") else [],
        }.get(message["type"], [])
    )
    told: list[Event] = []
    await transcribe(AUDIO, model, FAST, on_event=told.append)
    kinds = [type(event).__name__ for event in told]
    assert kinds[0] == "StreamOpen"
    assert kinds.index("FirstDelta") + 1 == kinds.index("Delta")
    assert kinds.index("Delta") < len(kinds) - 1 - kinds[::-1].index("ChunkSent")
    assert kinds.count("ChunkSent") == 4
    assert kinds.count("FirstDelta") == 1
    assert told[-1] == events.Done(told[-1].at, " a a a a")
    assert [event.at for event in told] == sorted(event.at for event in told)


class Time:
    def __init__(self) -> None:
        self.now = 50.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def test_the_timing_is_in_seconds_from_the_start_of_the_call() -> None:
    time = Time()
    model = on_final(delta(""), delta(" a"), done(" a"))
    result = await transcribe(AUDIO, model, Delivery(), clock=time.clock, sleep=time.sleep)
    timing = result.timing
    assert timing.stream_open == 0
    assert timing.first_chunk_sent == 0
    assert timing.last_chunk_sent == pytest.approx(3 * 0.128)
    assert timing.first_delta == timing.first_words == timing.final == timing.last_chunk_sent


async def test_nothing_is_sent_before_stream_and_model_are_there() -> None:
    model = FakeModel(lambda m: [done("x")] if m.get("final") else [], greet=False)
    model.opens.clear()
    running = asyncio.create_task(transcribe(AUDIO, model, FAST))
    for _ in range(20):
        await asyncio.sleep(0)
    assert model.sent == []
    model.opens.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert model.sent == []
    model.say({"type": "session.created", "id": "s"})
    assert (await running).text == "x"


async def test_sending_first_waits_for_neither_headers_nor_greeting() -> None:
    model = FakeModel(lambda m: [], greet=False)
    model.opens.clear()
    plan = Delivery(speed=0, wait_for_headers=False)
    running = asyncio.create_task(transcribe(AUDIO, model, plan))
    await model.finished.wait()
    model.opens.set()
    model.say({"type": "session.created", "id": "s"}, done("x"))
    assert (await running).text == "x"


async def test_headers_that_never_come_are_an_error() -> None:
    model = on_final()
    model.opens.clear()
    with pytest.raises(ConnectionFailed, match=r"no response headers within 0\.01 s"):
        await transcribe(AUDIO, model, Delivery(open_timeout=0.01))


async def test_a_refusal_that_shows_only_once_the_input_is_closed_is_told_as_it_was() -> None:
    model = on_final()
    model.opens.clear()
    model.late_refusal = StreamBroken("HTTP 400")
    with pytest.raises(StreamBroken, match="HTTP 400"):
        await transcribe(AUDIO, model, Delivery(open_timeout=0.01))


async def test_a_model_that_never_greets_is_an_error() -> None:
    model = FakeModel(lambda m: [], greet=False)
    with pytest.raises(TranscriptMissing, match=r"no session.created within 0\.01 s"):
        await transcribe(AUDIO, model, Delivery(open_timeout=0.01))


async def test_a_refused_stream_is_told_as_it_was() -> None:
    model = on_final()
    model.refusal = StreamBroken("HTTP 424")
    with pytest.raises(StreamBroken, match="HTTP 424"):
        await transcribe(AUDIO, model, FAST)


async def test_a_final_transcript_that_never_comes_is_an_error_with_what_was_seen() -> None:
    model = on_final(delta(" a"), delta(""))
    with pytest.raises(TranscriptMissing) as told:
        await transcribe(AUDIO, model, Delivery(speed=0, final_timeout=0.01))
    assert "for 0.01 s after the last audio" in str(told.value)
    assert "2 deltas, 1 of them empty, after 4 of 4 chunks" in str(told.value)


async def test_minutes_of_empty_deltas_do_not_count_as_words() -> None:
    model = on_final()
    running = asyncio.create_task(transcribe(AUDIO, model, Delivery(speed=0, final_timeout=0.05)))

    async def babble() -> None:
        while not running.done():
            model.say(delta(""))
            await asyncio.sleep(0.001)

    async with asyncio.timeout(10):
        babbling = asyncio.create_task(babble())
        with pytest.raises(TranscriptMissing, match="no words"):
            await running
        await babbling


async def test_words_that_keep_coming_extend_the_wait() -> None:
    model = on_final()
    running = asyncio.create_task(transcribe(AUDIO, model, Delivery(speed=0, final_timeout=0.2)))
    await model.finished.wait()
    for _ in range(6):
        await asyncio.sleep(0.05)
        model.say(delta(" a"))
    model.say(done(" a a a a a a"))
    assert (await running).deltas == 6


async def test_a_stream_that_ends_first_is_an_error() -> None:
    with pytest.raises(TranscriptMissing, match="ended with no final transcript: 1 deltas"):
        await transcribe(AUDIO, on_final(delta(" a"), None), FAST)


async def test_an_error_of_the_model_is_told_by_code_and_message() -> None:
    model = FakeModel(
        lambda m: (
            [{"type": "error", "error": "no model x", "code": "model_not_found"}]
            if m["type"] == "session.update"
            else []
        )
    )
    with pytest.raises(ModelError, match="model_not_found: no model x") as told:
        await transcribe(AUDIO, model, Delivery(model="x"))
    assert told.value.code == "model_not_found"
    assert "--model" in told.value.advice


async def test_words_that_are_no_message_are_an_error() -> None:
    with pytest.raises(ModelError, match='expected a "type"'):
        await transcribe(AUDIO, on_final({"hello": "world"}), FAST)


async def test_what_the_model_said_wins_over_a_send_that_failed_after_it() -> None:
    model = on_final()

    async def fail(text: str) -> None:
        model.say({"type": "error", "error": "engine died", "code": "processing_error"})
        raise StreamEnded("nothing more can be sent")

    model.send_text = fail  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="engine died"):
        await transcribe(AUDIO, model, FAST)


async def test_a_transcript_that_ends_before_the_audio_is_an_error() -> None:
    model = FakeModel(lambda m: [done("half")] if m["type"] == "input_audio_buffer.append" else [])
    with pytest.raises(TranscriptMissing, match=r"ended the transcript after 1 of 4 chunks"):
        await transcribe(AUDIO, model, Delivery(speed=1))


@pytest.mark.parametrize("usage", [None, {**USAGE, "completion_tokens": 3}])
async def test_a_model_that_heard_less_than_was_sent_is_an_error(usage: object) -> None:
    end = {**done(" The"), "usage": usage}
    model = on_final(delta(""), delta(""), delta(" The"), end)
    with pytest.raises(TranscriptMissing, match=r"after 0\.2 of 0\.5 s of audio") as told:
        await transcribe(AUDIO, model, FAST)
    assert "max_model_len" in told.value.advice


async def test_a_model_that_made_nothing_of_the_audio_is_an_error() -> None:
    model = on_final({**done(""), "usage": {**USAGE, "completion_tokens": 0}})
    with pytest.raises(TranscriptMissing, match=r"after 0\.0 of 0\.5 s of audio"):
        await transcribe(AUDIO, model, FAST)


async def test_a_model_that_answers_by_segments_owes_no_rhythm() -> None:
    few = {**done(" a fox"), "usage": {**USAGE, "completion_tokens": 2}}
    model = on_final(delta(" a"), delta(" fox"), few)
    assert (await transcribe(AUDIO, model, FAST)).text == " a fox"


async def test_a_service_that_takes_nothing_is_an_error() -> None:
    model = on_final()
    model.takes.clear()
    with pytest.raises(StreamError, match=r"nothing was taken for 0\.01 s"):
        await transcribe(AUDIO, model, Delivery(send_timeout=0.01))


async def test_cancelling_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    running = asyncio.create_task(transcribe(AUDIO, on_final(), FAST))
    for _ in range(20):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == before
