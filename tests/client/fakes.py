"""Stand-ins for the two things that a transcription talks to: the SDK, and a stream."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aws_sdk_sagemaker_runtime_http2.models import (
    ResponsePayloadPart,
    ResponseStreamEventPayloadPart,
)
from smithy_core.response import ResponseMetadata

from sagemaker_bidi_client.errors import StreamError
from sagemaker_bidi_client.history import History
from sagemaker_bidi_client.stream import Opening


class FakeInput:
    """The SDK's event publisher: keeps what is sent; `gate` holds each send back."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closed = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.cancelled = 0

    async def send(self, event: Any) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        self.sent.append(event.value)

    async def close(self) -> None:
        self.closed.set()


class FakeOutput:
    """The SDK's event receiver: gives what `feed` was told, in order."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.cancelled = 0

    def feed(self, *events: Any) -> None:
        for event in events:
            self.events.put_nowait(event)

    async def receive(self) -> Any:
        try:
            event = await self.events.get()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(event, Exception):
            raise event
        return event


class FakeDuplex:
    """The SDK's `DuplexEventStream`; `open_up` and `refuse` settle the response headers."""

    def __init__(self) -> None:
        self.input_stream = FakeInput()
        self.output = FakeOutput()
        self._head: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def open_up(self, variant: str = "AllTraffic", request_id: str = "req-1") -> None:
        metadata = ResponseMetadata(request_id=request_id, http_status_code=200)
        self._head.set_result(
            SimpleNamespace(invoked_production_variant=variant, response_metadata=metadata)
        )

    def refuse(self, error: Exception) -> None:
        self._head.set_exception(error)

    async def await_output(self) -> tuple[Any, FakeOutput]:
        return await self._head, self.output


def part(
    data: bytes, completion_state: str | None = "COMPLETE", data_type: str | None = "UTF8"
) -> ResponseStreamEventPayloadPart:
    """Make the SDK's event for a payload part."""
    return ResponseStreamEventPayloadPart(
        value=ResponsePayloadPart(
            bytes_=data, data_type=data_type, completion_state=completion_state
        )
    )


@dataclass
class FakeModel:
    """A stream with a scripted vLLM at its end.

    `answer` is called with each message of the client and gives the messages that come back; an
    exception in them is raised by `receive_message`, None ends the stream.
    """

    answer: Callable[[dict[str, Any]], Sequence[dict[str, Any] | Exception | None]]
    greet: bool = True
    history: History = field(default_factory=History)
    opens: asyncio.Event = field(default_factory=asyncio.Event)
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[dict[str, Any]] = field(default_factory=list)
    refusal: Exception | None = None
    late_refusal: StreamError | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.opens.set()
        self.takes.set()
        self._back: asyncio.Queue[Any] = asyncio.Queue()
        if self.greet:
            self.say({"type": "session.created", "id": "sess-1"})

    def say(self, *messages: dict[str, Any] | Exception | None) -> None:
        for message in messages:
            self._back.put_nowait(message)

    async def opened(self) -> Opening:
        await self.opens.wait()
        if self.refusal is not None:
            raise self.refusal
        return Opening("AllTraffic", "req-1")

    async def why_not_open(self) -> StreamError | None:
        return self.late_refusal

    async def send_text(self, text: str) -> None:
        await self.takes.wait()
        message = json.loads(text)
        self.sent.append(message)
        self.say(*self.answer(message))
        if message.get("final"):
            self.finished.set()

    async def receive_message(self) -> bytes | None:
        message = await self._back.get()
        if isinstance(message, Exception):
            raise message
        return None if message is None else json.dumps(message).encode()

    def audio(self) -> bytes:
        """Give all the audio that was appended."""
        return b"".join(
            base64.b64decode(message["audio"])
            for message in self.sent
            if message["type"] == "input_audio_buffer.append"
        )

    def kinds(self) -> list[str]:
        """Name the messages that came in, a final commit as "final"."""
        return [
            "final" if message.get("final") else message["type"].rpartition(".")[2]
            for message in self.sent
        ]
