"""A recording in, its transcript out, over one stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from sagemaker_bidi_client import events, realtime
from sagemaker_bidi_client.audio import BYTES_PER_SAMPLE, CHUNK_BYTES, RATE, Audio, chunk_seconds
from sagemaker_bidi_client.errors import (
    ConnectionFailed,
    ModelError,
    StreamError,
    TranscriptMissing,
)
from sagemaker_bidi_client.events import Event, Result, Timing
from sagemaker_bidi_client.history import History
from sagemaker_bidi_client.pacing import Clock, Sleep, paced
from sagemaker_bidi_client.stream import Opening

# Voxtral's rhythm.
TOKEN_SECONDS = 0.08


class Channel(Protocol):
    """What a transcription needs of a stream; `sagemaker_bidi_client.stream.Stream` is one."""

    history: History

    async def opened(self) -> Opening: ...

    async def why_not_open(self) -> StreamError | None: ...

    async def send_text(self, text: str) -> None: ...

    async def receive_message(self) -> bytes | None: ...


@dataclass(frozen=True)
class Delivery:
    """How a recording is sent.

    `model` is the name that the container serves; "" stands for whatever it serves. `speed` is in
    multiples of speech, 0 as fast as it goes. With `wait_for_headers` nothing is sent before the
    stream is open and the model has greeted; without it all is sent at once, as some clients do
    (W5).

    `open_timeout` limits, in seconds, the wait for the stream and the greeting; `send_timeout` the
    time for one message to be taken; `final_timeout` the time after the last audio, or the last
    words after it, until the final transcript.
    """

    model: str = ""
    speed: float = 1.0
    chunk_bytes: int = CHUNK_BYTES
    wait_for_headers: bool = True
    open_timeout: float = 30.0
    send_timeout: float = 30.0
    final_timeout: float = 60.0


async def transcribe(
    audio: Audio,
    stream: Channel,
    delivery: Delivery | None = None,
    *,
    on_event: Callable[[Event], None] | None = None,
    clock: Clock = time.perf_counter,
    sleep: Sleep = asyncio.sleep,
) -> Result:
    """Send a recording at its own pace, hear the model at the same time, return the transcript.

    `on_event` is called for each event as it happens, in the event loop. `clock` and `sleep` pace
    the audio. The stream is left open: the caller closes it.

    Raises what `stream` raises; ModelError where the model reports one; TranscriptMissing where
    the stream ends, or falls silent, before the final transcript.
    """
    return await _Session(audio, stream, delivery or Delivery(), on_event, clock, sleep).run()


class _Session:
    """One transcription: a task that sends, a task that hears, and a limit on the silence."""

    def __init__(
        self,
        audio: Audio,
        stream: Channel,
        delivery: Delivery,
        on_event: Callable[[Event], None] | None,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._chunks = list(audio.chunks(delivery.chunk_bytes))
        self._stream = stream
        self._delivery = delivery
        self._on_event = on_event
        self._clock = clock
        self._sleep = sleep
        self._start = clock()
        self._timing = Timing()
        self._opening: Opening | None = None
        self._greeted = asyncio.Event()
        self._news = asyncio.Event()
        self._transcript = realtime.Transcript()
        self._chunks_sent = 0

    async def run(self) -> Result:
        opening, hearing, sending = tasks = [
            asyncio.create_task(step()) for step in (self._open, self._hear, self._send)
        ]
        try:
            pending = set(tasks)
            while not hearing.done() and pending != {hearing}:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                if sending in done and sending.exception() is not None:
                    # What the model said last tells more than "nothing more can be sent".
                    await asyncio.wait({hearing}, timeout=0.2)
                for task in (hearing, opening, sending):
                    if task.done():
                        task.result()
            await self._wait_for_final(hearing)
            return self._result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self._delivery.open_timeout):
                self._opening = await self._stream.opened()
        except TimeoutError:
            if (refused := await self._stream.why_not_open()) is not None:
                raise refused from None
            raise ConnectionFailed(
                f"no response headers within {self._delivery.open_timeout:g} s",
                advice="is the port 8443? SageMaker's 443 accepts connections and never answers. "
                "Otherwise the service or the container is stuck: read their logs",
                seen=str(self._stream.history),
            ) from None
        at = self._now()
        self._timing = replace(self._timing, stream_open=at - self._start)
        self._tell(events.StreamOpen(at, self._opening.variant, self._opening.request_id))

    async def _send(self) -> None:
        if self._delivery.wait_for_headers:
            await self._greeting()
        await self._put(realtime.session_update(self._delivery.model))
        await self._put(realtime.commit())
        step = chunk_seconds(self._delivery.chunk_bytes)
        async for index, chunk in paced(
            self._chunks, step, speed=self._delivery.speed, clock=self._clock, sleep=self._sleep
        ):
            await self._put(realtime.append(chunk))
            at = self._now()
            self._chunks_sent = index + 1
            first = self._timing.first_chunk_sent
            self._timing = replace(
                self._timing,
                first_chunk_sent=at - self._start if first is None else first,
                last_chunk_sent=at - self._start,
            )
            self._tell(events.ChunkSent(at, index, len(self._chunks)))
        await self._put(realtime.commit(final=True))

    async def _greeting(self) -> None:
        await self._stream.opened()
        try:
            async with asyncio.timeout(self._delivery.open_timeout):
                await self._greeted.wait()
        except TimeoutError:
            raise TranscriptMissing(
                f"the stream is open, and the model sent no session.created within "
                f"{self._delivery.open_timeout:g} s",
                advice="is there a vLLM realtime server behind this endpoint?",
                seen=str(self._stream.history),
            ) from None

    async def _put(self, message: str) -> None:
        try:
            async with asyncio.timeout(self._delivery.send_timeout):
                await self._stream.send_text(message)
        except TimeoutError:
            raise StreamError(
                f"nothing was taken for {self._delivery.send_timeout:g} s: "
                "the stream's window is full",
                advice="the container has stopped reading: see its log",
                seen=str(self._stream.history),
            ) from None

    async def _hear(self) -> None:
        while (message := await self._stream.receive_message()) is not None:
            try:
                event = realtime.parse(message)
            except realtime.RealtimeError as error:
                raise ModelError(str(error), seen=str(self._stream.history)) from error
            self._transcript.receive(event)
            match event:
                case realtime.SessionCreated():
                    self._greeted.set()
                case realtime.Delta(text):
                    self._heard_delta(text)
                case realtime.Done() as done:
                    self._heard_done(done)
                    return
                case realtime.ErrorEvent(text, code):
                    raise ModelError(
                        f"the model reported {code or 'an error'}: {text}",
                        code=code,
                        advice=_advice_for_model(code),
                        seen=str(self._stream.history),
                    )
        raise TranscriptMissing(
            f"the stream ended with no final transcript: {self._heard()}",
            advice="the container closed the WebSocket: see its log",
            seen=str(self._stream.history),
        )

    async def _wait_for_final(self, hearing: asyncio.Task[None]) -> None:
        """Wait for the last words, as long as they keep coming."""
        limit = self._delivery.final_timeout
        hearing.add_done_callback(lambda _: self._news.set())
        while not hearing.done():
            self._news.clear()
            try:
                async with asyncio.timeout(limit):
                    await self._news.wait()
            except TimeoutError:
                raise TranscriptMissing(
                    f"no final transcript, and no words, for {limit:g} s after the last audio: "
                    f"{self._heard()}",
                    advice="the model is stuck or starved of its share: see vLLM's log, its queue "
                    "and MAX_NUM_SEQS",
                    seen=str(self._stream.history),
                ) from None
        hearing.result()

    def _heard_delta(self, text: str) -> None:
        at = self._now()
        offset = at - self._start
        timing = self._timing
        if timing.first_delta is None:
            timing = replace(timing, first_delta=offset)
        if text and timing.first_words is None:
            timing = replace(timing, first_words=offset)
            self._tell(events.FirstDelta(at))
        self._timing = replace(timing, last_delta=offset)
        if text:
            self._news.set()
            self._tell(events.Delta(at, text))

    def _heard_done(self, done: realtime.Done) -> None:
        if (heard := self._stopped_after(done)) is not None:
            raise TranscriptMissing(
                f"the model ended the transcript after {heard}: {self._heard()}",
                advice="vLLM does so at max_model_len: cut the recording, or raise it",
                seen=str(self._stream.history),
            )
        at = self._now()
        self._timing = replace(self._timing, final=at - self._start)
        self._tell(events.Done(at, done.text))

    def _stopped_after(self, done: realtime.Done) -> str | None:
        """How much the model heard where it did not hear all; None where nothing says so.

        What was sent says little at speed 0. A model that also speaks where there are no words
        gives a token for each 80 ms of audio and some at the end: one of another rhythm, which
        answers by segments, has no blank deltas.
        """
        if self._chunks_sent < len(self._chunks):
            return f"{self._chunks_sent} of {len(self._chunks)} chunks of audio"
        transcript, usage = self._transcript, done.usage
        tokens = transcript.deltas if usage is None else usage.completion_tokens
        audio = sum(map(len, self._chunks)) / (RATE * BYTES_PER_SAMPLE)
        blank = transcript.empty_deltas > 0 or tokens == transcript.deltas == 0
        heard = max(tokens, transcript.deltas) * TOKEN_SECONDS
        if not blank or not audio or heard >= audio:
            return None
        return f"{heard:.1f} of {audio:.1f} s of audio"

    def _heard(self) -> str:
        transcript = self._transcript
        return (
            f"{transcript.deltas} deltas, {transcript.empty_deltas} of them empty, after "
            f"{self._chunks_sent} of {len(self._chunks)} chunks of audio"
        )

    def _result(self) -> Result:
        done = self._transcript.done
        return Result(
            text=self._transcript.text,
            timing=self._timing,
            chunks=self._chunks_sent,
            deltas=self._transcript.deltas,
            empty_deltas=self._transcript.empty_deltas,
            usage=done.usage if done else None,
            variant=self._opening.variant if self._opening else None,
            request_id=self._opening.request_id if self._opening else None,
        )

    def _now(self) -> float:
        return self._clock()

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)


def _advice_for_model(code: str | None) -> str:
    match code:
        case "model_not_found":
            return "give --model the name that vLLM serves (its --served-model-name)"
        case "invalid_audio":
            return "audio is 16 kHz, mono, PCM16, whole samples, and not too much in one message"
    return "see vLLM's log"
