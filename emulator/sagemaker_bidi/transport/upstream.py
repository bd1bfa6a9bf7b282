"""An endpoint of SageMaker's in the place of a container, reached through the AWS SDK.

The emulator then stands between a client and the real service (or another emulator): parts pass as
they are, and so do errors, refusals and endings. Requests are signed with the credentials that the
SDK finds; what the client signed with goes no further than this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from aws_sdk_sagemaker_runtime_http2.models import InternalStreamFailure, ModelStreamError
from smithy_aws_event_stream.exceptions import UnmodeledEventError

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.endings import ABNORMAL
from sagemaker_bidi.contract.errors import Refusal, Refused, StreamError, service_unavailable
from sagemaker_bidi.contract.frames import (
    BINARY,
    COMPLETE,
    PARTIAL,
    UTF8,
    Frame,
    InvalidPart,
    Opcode,
    Part,
    PartsToFrames,
)
from sagemaker_bidi.contract.opening import CONTAINER_PATH
from sagemaker_bidi.transport.container import (
    CLOSE_SECONDS,
    CONTAINER_CLOSED,
    DATA,
    OVERTAKEN,
    Closed,
)
from sagemaker_bidi.transport.deliveries import UNCOUNTED, Deliveries
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.errors import StreamError as ClientStreamError
from sagemaker_bidi_client.sdk import HttpRefusal
from sagemaker_bidi_client.stream import Stream

OPEN_SECONDS = 30.0
WAITING_FRAMES = 16

_REGION = re.compile(r"runtime(?:-fips)?\.sagemaker\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
# A link that is dropped closes behind the session's back.
_closing: set[asyncio.Task[None]] = set()


class UpstreamLink:
    """An open stream to an endpoint, as a `Link`. `open_upstream` makes it.

    Args:
        stream: the stream.
        url: where it leads, for messages.
        exits: close the stream.
    """

    def __init__(self, stream: Stream, url: str, exits: contextlib.AsyncExitStack) -> None:
        self.response_headers: Mapping[str, str] = {}
        self.deliveries: Deliveries = UNCOUNTED
        self._stream = stream
        self._url = url
        self._exits = exits
        self._to_frames = PartsToFrames()
        self._data_type = BINARY
        self._inbox: deque[Frame] = deque()
        self._outbox: deque[Frame] = deque()
        self._sending = False
        self._closed: Closed | None = None
        self._changed = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._pumps = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        self._finishing: asyncio.Task[None] | None = None

    async def receive(self) -> list[Frame] | Closed:
        """The frames that have arrived, or how the stream ended."""
        await self._until(lambda: self._inbox or self._closed)
        if self._inbox:
            frames = list(self._inbox)
            self._inbox.clear()
            self._changed.set()
            return frames
        assert self._closed is not None
        return self._closed

    def send(self, frame: Frame) -> None:
        """Queue a frame; `drain` waits until there is room for more."""
        if frame.opcode is Opcode.PING:
            # Only the service's own pings reach its container: the answer to ours is this.
            self._inbox.append(Frame(Opcode.PONG, frame.payload))
        else:
            self._outbox.append(frame)
        self._changed.set()

    @property
    def congested(self) -> bool:
        """Whether frames come faster than the endpoint takes them."""
        return len(self._outbox) > WAITING_FRAMES

    async def drain(self) -> None:
        """Wait while frames come faster than the endpoint takes them."""
        await self._until(lambda: not self.congested)

    def stop_reading(self, stopped: bool) -> None:
        """Leave what the endpoint sends where it is, or go on reading it."""
        if stopped:
            self._reading.clear()
        else:
            self._reading.set()

    def ignore_pings(self, ignored: bool) -> None:
        """No pings come from behind an endpoint."""

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """Close the input; code and reason stay here, an endpoint is told neither.

        Args:
            discard: drop the frames that still wait (E3); else they go first.
        """
        self._finish(discard=discard)

    async def wait_closed(
        self, clock: Clock, late: Callable[[int], None] = lambda size: None
    ) -> None:
        """Wait until the stream is closed on both sides, a few seconds at most."""
        await asyncio.shield(self._finish(discard=True))

    def abort(self) -> None:
        """Drop the stream."""
        self._finish(discard=True)

    def _finish(self, *, discard: bool) -> asyncio.Task[None]:
        if discard:
            self._discard(OVERTAKEN)
        if self._finishing is None:
            self._finishing = asyncio.create_task(self._close())
            _closing.add(self._finishing)
            self._finishing.add_done_callback(_closing.discard)
        return self._finishing

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._until(lambda: not self._outbox and not self._sending)
        self._discard(OVERTAKEN)
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await self._exits.aclose()
        self._closed = self._closed or Closed(ABNORMAL, ": the stream was closed")
        self._changed.set()

    def _discard(self, why: str) -> None:
        for frame in self._outbox:
            if frame.opcode in DATA:
                self.deliveries.lose(len(frame.payload), why)
        self._outbox.clear()
        self._changed.set()

    async def _until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def _write(self) -> None:
        while True:
            await self._until(lambda: self._outbox)
            self._sending = True
            await self._send(self._outbox.popleft())
            self._sending = False
            self._changed.set()

    async def _send(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._data_type = UTF8 if frame.opcode is Opcode.TEXT else BINARY
        try:
            await self._stream.send(frame.payload, data_type=self._data_type, complete=frame.fin)
        except ClientStreamError:
            # What ended the stream is what `_read` has to tell.
            self.deliveries.lose(len(frame.payload), CONTAINER_CLOSED)
        except asyncio.CancelledError:
            self.deliveries.lose(len(frame.payload), OVERTAKEN)
            raise
        else:
            self.deliveries.deliver(len(frame.payload))

    async def _read(self) -> None:
        try:
            while True:
                await self._reading.wait()
                await self._until(lambda: len(self._inbox) <= WAITING_FRAMES)
                part = await self._stream.receive()
                if part is None:
                    self._closed = Closed(1000, "")
                    break
                state = COMPLETE if part.complete else PARTIAL
                frame = self._to_frames.frame(Part(part.data, part.data_type, state))
                if frame is not None:
                    self._inbox.append(frame)
                self._changed.set()
        except ClientStreamError as error:
            self._closed = _closed(error, self._url)
        except InvalidPart as error:
            self._closed = Closed(ABNORMAL, f": {self._url} sent an invalid part: {error}")
        self._changed.set()


async def open_upstream(
    url: str,
    container_path: str,
    clock: Clock,
    *,
    region: str | None = None,
    ca: Path | None = None,
) -> UpstreamLink:
    """Open a stream to an endpoint, with the credentials that the AWS SDK finds.

    Args:
        url: `https://HOST:PORT/NAME`.
        container_path: path and query that the client wants of the container (O2).
        clock: measures the endpoint, so it is never scaled.
        region: to sign for; unless given, that of SageMaker's host name, else the SDK's own.
        ca: certificates to trust in place of the system's.

    Raises:
        Refused: with the endpoint's own refusal, or 503 where there was no answer.
    """
    parts = urlsplit(url)
    path, _, query = container_path.partition("?")
    if region is None and (named := _REGION.fullmatch(parts.hostname or "")):
        region = named[1]
    async with contextlib.AsyncExitStack() as exits:
        try:
            stream = await exits.enter_async_context(
                open_stream(
                    parts.path.strip("/"),
                    endpoint_url=f"https://{parts.netloc}",
                    region=region,
                    ca=ca,
                    invocation_path=None if path == CONTAINER_PATH else path.removeprefix("/"),
                    query_string=query or None,
                )
            )
            await _opened(stream, url, clock)
        except ClientStreamError as error:
            raise Refused(_no_stream(url, error)) from error
        return UpstreamLink(stream, url, exits.pop_all())


async def _opened(stream: Stream, url: str, clock: Clock) -> None:
    try:
        async with clock.within(OPEN_SECONDS):
            await stream.opened()
    except TimeoutError:
        late = f"{url} has not answered within {OPEN_SECONDS:g} s"
        raise Refused(_unavailable(late)) from None
    except ClientStreamError:
        if stream.refusal is None:
            raise
        raise Refused(_refusal(url, stream.refusal)) from None


def _no_stream(url: str, error: ClientStreamError) -> Refusal:
    advice = f"; {error.advice}" if error.advice else ""
    return _unavailable(f"{url}: {error.what}{advice}")


def _unavailable(reason: str) -> Refusal:
    return service_unavailable("The endpoint behind this one cannot be reached.", reason)


def _refusal(url: str, answer: HttpRefusal) -> Refusal:
    """The endpoint's refusal, to be passed on as it is."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    members: dict[str, object] = body if isinstance(body, dict) else {}
    key = "Message" if "Message" in members else "message"
    named = answer.headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2]
    return Refusal(
        answer.status,
        named or "InternalServerError",
        str(members.get(key, "")),
        "O7",
        reason=f"{url} refused: HTTP {answer.status} {named}",
        fields=tuple(
            (name, value)
            for name, value in members.items()
            if name != key and isinstance(value, str | int)
        ),
        message_key=key,
    )


def _closed(error: ClientStreamError, url: str) -> Closed:
    for cause in _causes(error):
        match cause:
            case ModelStreamError():
                told = StreamError("ModelStreamError", cause.error_code or "", cause.message)
            case InternalStreamFailure():
                told = StreamError("InternalStreamFailure", "", cause.message)
            case UnmodeledEventError():
                told = StreamError("error", cause.code, cause.message)
            case KeyError(args=(str(name),)):
                # An exception that the SDK has no type for: it keeps the name alone.
                told = StreamError(name, "", "")
            case _:
                continue
        return Closed(ABNORMAL, f"{url} ended the stream with {told.event}", told)
    return Closed(ABNORMAL, f": {url}: {error.what}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
