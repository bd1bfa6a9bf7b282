"""One bidirectional stream to a SageMaker endpoint, through the AWS SDK."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aws_sdk_sagemaker_runtime_http2.models import (
    RequestPayloadPart,
    RequestStreamEventPayloadPart,
    ResponseStreamEventPayloadPart,
)

from sagemaker_bidi_client.errors import ConnectionFailed, StreamBroken, StreamEnded, StreamError
from sagemaker_bidi_client.history import History
from sagemaker_bidi_client.sdk import HttpRefusal, Transport
from sagemaker_bidi_client.tls import diagnose
from sagemaker_bidi_client.translate import opening_error, streaming_error

_BUFFERED_PARTS = 256
_MESSAGE_LIMIT = 16 * 1024 * 1024
_SLOW_CONNECTION = 1.0
_REFUSAL_SECONDS = 2.0


@dataclass(frozen=True)
class Part:
    """A payload part that the model sent: its bytes, "UTF8" or "BINARY", and whether it is the
    last of its message (F2, F3)."""

    data: bytes
    data_type: str | None = None
    complete: bool = True


@dataclass(frozen=True)
class Opening:
    """What the response headers say."""

    variant: str | None
    request_id: str | None


class Stream:
    """Parts out, parts in; made by `sagemaker_bidi_client.connect.open_stream`.

    One task reads from the SDK all the time, because a cancelled `receive()` of the SDK loses the
    bytes it had read. So each method here may be cancelled, or put under a timeout, at any time.
    """

    def __init__(
        self,
        duplex: Any,
        *,
        url: str,
        history: History,
        transport: Transport | None = None,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Take over the SDK's `DuplexEventStream`.

        `transport` is what carries it, for the details of failures; `on_close` is awaited once
        when all is over.
        """
        self.history = history
        self._duplex = duplex
        self._url = url
        self._transport = transport
        self._on_close = on_close
        self._opening: Opening | None = None
        self._failure: StreamError | None = None
        self._decided = asyncio.Event()
        self._ended = asyncio.Event()
        self._arrived: asyncio.Queue[Part | None] = asyncio.Queue(_BUFFERED_PARTS)
        self._read_out = False
        self._closing = False
        # The SDK signs first and waits for room then: two sends at once could swap places.
        self._input = asyncio.Lock()
        self._sends: set[asyncio.Task[None]] = set()
        self._awaiting: asyncio.Future[Any] | None = None
        self._reader = asyncio.create_task(self._read())

    async def opened(self) -> Opening:
        """Wait for the response headers; raises what kept the stream from opening."""
        await self._decided.wait()
        if self._opening is None:
            raise self._failure or StreamEnded("the stream was closed before it was open")
        return self._opening

    async def why_not_open(self) -> StreamError | None:
        """Close the input of a stream that doesn't open, and tell what has kept it from that.

        To be asked when `opened()` takes too long: with SDK 0.4 a refusal is seen only once the
        input is closed (E8). None where nothing comes then either.
        """
        closing = asyncio.create_task(self._close_input())
        self._sends.add(closing)
        closing.add_done_callback(self._sends.discard)
        closing.add_done_callback(_forget)
        await asyncio.wait({self._reader}, timeout=_REFUSAL_SECONDS)
        return self._failure

    @property
    def refusal(self) -> HttpRefusal | None:
        """The service's answer where it refused to open the stream."""
        return None if self._transport is None else self._transport.refusal

    async def send_text(self, text: str) -> None:
        """Send one UTF8 part, a message of its own; as `send` does it."""
        await self.send(text.encode(), data_type="UTF8")

    async def send(
        self, data: bytes, *, data_type: str | None = None, complete: bool = True
    ) -> None:
        """Send one part; it waits while the service takes nothing.

        `data_type` is "UTF8" or "BINARY", which None stands for too (F2); a part that is not
        `complete` is followed by another one of the same message (F3).

        Where it is cancelled, the part is sent all the same: a part that has been signed can't be
        taken back, the next one's signature builds on it (W4).

        Raises the error that ended the stream, or StreamEnded where it ended without one.
        """
        self._check_alive()
        sending = asyncio.create_task(self._send(data, data_type, complete))
        self._sends.add(sending)
        sending.add_done_callback(self._sends.discard)
        sending.add_done_callback(_forget)
        ended = asyncio.create_task(self._ended.wait())
        try:
            # The SDK's buffer has no way out once the stream is dead: a send could wait for ever.
            await asyncio.wait({sending, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if not sending.done():
            self._check_alive()
        sending.result()

    async def _send(self, data: bytes, data_type: str | None, complete: bool) -> None:
        part = RequestPayloadPart(
            bytes_=data,
            data_type=data_type,
            completion_state="COMPLETE" if complete else "PARTIAL",
        )
        async with self._input:
            try:
                await self._duplex.input_stream.send(RequestStreamEventPayloadPart(value=part))
            except Exception as error:
                self._check_alive()
                raise self._translated(error) from error
            self.history.part_sent(len(data))

    async def _close_input(self) -> None:
        async with self._input:
            await self._duplex.input_stream.close()

    async def receive(self) -> Part | None:
        """Wait for the next part; None when the service has ended the stream.

        Raises the error that ended the stream, each time it is called.
        """
        if not self._read_out:
            part = await self._arrived.get()
            if part is not None:
                return part
            self._read_out = True
        if self._failure is not None:
            raise self._failure
        return None

    async def receive_message(self) -> bytes | None:
        """Wait for the next whole message: PARTIAL parts are joined up to the COMPLETE one (F3).

        Raises StreamBroken for a message over 16 MiB, or one that never gets complete.
        """
        message = b""
        while (part := await self.receive()) is not None:
            message += part.data
            if len(message) > _MESSAGE_LIMIT:
                raise self._broken(f"a message from the model is over {_MESSAGE_LIMIT} bytes")
            if part.complete:
                return message
        if message:
            raise self._broken("the stream ended in the middle of a message")
        return None

    async def close(self, grace: float = 2.0) -> None:
        """Close the input, wait up to `grace` seconds for the service to end the stream, go.

        Close only after the last answer: SageMaker drops what is on its way when the input
        closes (E3). Never raises for a stream that is broken already.
        """
        if self._closing:
            return
        self._closing = True
        while not self._arrived.empty():
            self._arrived.get_nowait()
        alive = self._opening is not None and not self._ended.is_set()
        closing = asyncio.create_task(self._close_input())
        await asyncio.wait({closing, self._reader}, timeout=grace if alive else 0.05)
        if self._on_close is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._on_close(), grace)
        if self._transport is not None:
            await self._transport.finish_writing(0.2)
        remaining: set[asyncio.Future[Any]] = {closing, self._reader, *self._sends}
        if self._awaiting is not None:
            remaining.add(self._awaiting)
        await _stop(remaining)

    async def _read(self) -> None:
        opening = self._awaiting = asyncio.ensure_future(self._duplex.await_output())
        if (failure := await self._examine(opening)) is not None:
            await self._finish(failure)
            return
        try:
            output, receiver = await opening
        except Exception as error:
            refusal = self._transport.refusal if self._transport else None
            self.history.mark(f"response {refusal.status}" if refusal else "no response")
            told = opening_error(error, url=self._url, refusal=refusal, history=self.history)
            told.__cause__ = error
            await self._finish(told)
            return
        # Only the newest releases of the SDK hand out what the headers say beside the model.
        metadata = getattr(output, "response_metadata", None) or self._transport
        request_id = metadata.request_id if metadata else None
        self._opening = Opening(output.invoked_production_variant, request_id)
        self.history.mark("response 200")
        self._decided.set()
        try:
            while (event := await receiver.receive()) is not None:
                if not isinstance(event, ResponseStreamEventPayloadPart):
                    self.history.mark(f"event {getattr(event, 'tag', type(event).__name__)}")
                    continue
                await self._keep(event.value)
        except Exception as error:
            self.history.mark(type(error).__name__)
            await self._finish(self._translated(error))
            return
        # The SDK reads a reset stream, a lost connection and a clean end all as the end.
        broken = self._transport.broken() if self._transport else None
        self.history.mark("end of the stream" if broken is None else "connection broken")
        await self._finish(None if broken is None else self._translated(broken))

    async def _examine(self, opening: asyncio.Future[Any]) -> ConnectionFailed | None:
        """Look after a connection that is slow to come: it may be waiting out a TLS failure."""
        if self._transport is None:
            return None
        await asyncio.wait({opening}, timeout=_SLOW_CONNECTION)
        if opening.done() or self._transport.connected:
            return None
        ca = self._transport.ca
        if (diagnosis := await diagnose(self._url, ca)) is None:
            return None
        self.history.mark("no TLS")
        return ConnectionFailed(
            f"no TLS with {self._url}: {diagnosis.reason}",
            advice=diagnosis.advice,
            seen=str(self.history),
        )

    async def _keep(self, value: Any) -> None:
        data = value.bytes_ or b""
        self.history.part_received(len(data))
        if not self._closing:
            complete = value.completion_state != "PARTIAL"
            await self._arrived.put(Part(data, value.data_type, complete))

    async def _finish(self, failure: StreamError | None) -> None:
        self._failure = failure
        self._decided.set()
        self._ended.set()
        await self._arrived.put(None)

    def _check_alive(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._ended.is_set() or self._closing:
            raise StreamEnded(
                "the stream has ended, nothing more can be sent",
                seen=str(self.history),
                request_id=self._request_id,
            )

    def _translated(self, error: BaseException) -> StreamError:
        translated = streaming_error(
            error, url=self._url, request_id=self._request_id, history=self.history
        )
        # It may be raised far from here, where the SDK's own error is no longer at hand.
        translated.__cause__ = error
        return translated

    def _broken(self, what: str) -> StreamBroken:
        return StreamBroken(what, seen=str(self.history), request_id=self._request_id)

    @property
    def _request_id(self) -> str | None:
        return self._opening.request_id if self._opening else None


async def _stop(tasks: set[asyncio.Future[Any]]) -> None:
    """Cancel tasks of a stream whose connection is gone, so that it can corrupt nothing.

    More than once: the SDK's `close()` on a dead stream waits for room to write, and, cancelled
    there, waits again for its buffer to empty.
    """
    for task in tasks:
        task.add_done_callback(_forget)
    for _ in range(3):
        pending = {task for task in tasks if not task.done()}
        if not pending:
            return
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.5)


def _forget(task: asyncio.Future[Any]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        task.exception()
