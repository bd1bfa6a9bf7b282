"""The WebSocket to the container, frame by frame (O2-O4, F1-F5).

`websockets`' Sans-I/O protocol does RFC 6455; its high-level client would merge fragments, add an
empty frame to a fragmented message and ping on its own schedule, none of which SageMaker does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode as WireOpcode
from websockets.http11 import Response
from websockets.protocol import CONNECTING, OPEN
from websockets.uri import parse_uri

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.endings import ABNORMAL, NO_STATUS
from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.transport.deliveries import UNCOUNTED, Deliveries

# At DEBUG `websockets` logs the payload of each frame: speech and transcripts are never logged.
_quiet = logger_named("bidi.websocket")
_quiet.setLevel(logging.INFO)

READ_SIZE = 64 * 1024
WRITE_BUFFER = 64 * 1024
CLOSE_SECONDS = 2.0
CONTAINER_CLOSED = "the container had closed its connection"
OVERTAKEN = "was overtaken by the end of the session"
DATA: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class ContainerRefused(Exception):
    """The WebSocket could not be opened; says what the container did (O4)."""


@dataclass(frozen=True, slots=True)
class Closed:
    """How the container's WebSocket ended; 1005 and 1006 as RFC 6455 7.4.1 has them.

    Args:
        error: how an endpoint that stands in for a container ended its stream with one.
    """

    code: int
    reason: str
    error: StreamError | None = None


class ContainerSocket:
    """An open WebSocket to a container. `open_container` makes it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        protocol: ClientProtocol,
        response_headers: Mapping[str, str],
    ) -> None:
        self.response_headers = response_headers
        self._reader = reader
        self._writer = writer
        self._protocol = protocol
        self._waiting: deque[Frame] = deque()
        self._eof = False
        self._flush_due = False
        self._pumping: asyncio.Task[None] | None = None
        self._unwritten = 0
        self._reading = asyncio.Event()
        self._reading.set()
        self._answer_pings = True
        self.deliveries: Deliveries = UNCOUNTED
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER)
        # A ping may have come in one segment with the response: its pong is due now (F5).
        self._flush()

    async def receive(self) -> list[Frame] | Closed:
        """The frames that have arrived, Close frames excepted; or how the connection ended."""
        while True:
            if self._eof:
                return self._closed()
            frames = self._events()
            if frames:
                return frames
            if self._protocol.close_rcvd is not None or self._protocol.parser_exc is not None:
                return self._closed()
            await self._read()

    def _events(self) -> list[Frame]:
        return [
            Frame(Opcode(int(event.opcode)), bytes(event.data), event.fin)
            for event in self._protocol.events_received()
            if isinstance(event, WireFrame) and event.opcode is not WireOpcode.CLOSE
        ]

    def _closed(self) -> Closed:
        received = self._protocol.close_rcvd
        if received is None:
            sent = self._protocol.close_sent
            if self._protocol.parser_exc is not None and sent is not None:
                return Closed(ABNORMAL, f": {sent.reason} (sent {sent.code})")
            return Closed(ABNORMAL, "")
        return Closed(received.code or NO_STATUS, received.reason)

    async def _read(self) -> None:
        await self._reading.wait()
        data = await _read(self._reader)
        self._eof = not data
        _receive(self._protocol, data)
        if not self._answer_pings:
            self._withhold_pongs()
        self._flush()

    def _withhold_pongs(self) -> None:
        pong = 0x80 | Opcode.PONG
        self._protocol.writes = [w for w in self._protocol.writes if not w or w[0] != pong]

    def send(self, frame: Frame) -> None:
        """Queue a frame; `drain` waits until there is room for more."""
        self._waiting.append(frame)
        self._pump()
        if self._waiting and self._pumping is None:
            # Whoever sends need not come again: what a fault held comes all at once, as the last.
            self._pumping = asyncio.create_task(self._pump_on(), name="container-pump")

    async def _pump_on(self) -> None:
        """Send what waits as the container takes it."""
        try:
            while self._waiting:
                self._flush()
                await self._writer.drain()
                self._pump()
        except OSError:
            pass  # The end of the connection is noticed where it is read.
        finally:
            self._pumping = None

    def _pump(self, limit: int = WRITE_BUFFER) -> None:
        # Frames wait here, not in the transport, so that E3 can drop and count them.
        transport = self._writer.transport
        while self._waiting and transport.get_write_buffer_size() + self._unwritten <= limit:
            frame = self._waiting.popleft()
            if self._protocol.state is not OPEN:
                self._discard(frame, CONTAINER_CLOSED)
                continue
            if frame.opcode not in (*DATA, Opcode.PING):
                raise ValueError(f"{frame.opcode.name} frames are not sent this way")
            # A fault may tear fragments apart: that is the container's to judge, not ours.
            self._protocol.send_frame(WireFrame(WireOpcode(frame.opcode), frame.payload, frame.fin))
            if frame.opcode in DATA:
                self.deliveries.deliver(len(frame.payload))
            self._unwritten += len(frame.payload)
            self._flush_soon()

    def _discard(self, frame: Frame, why: str) -> None:
        if frame.opcode in DATA:
            self.deliveries.lose(len(frame.payload), why)

    def stop_reading(self, stopped: bool) -> None:
        """Leave what the container sends in its socket, or go on reading it."""
        if stopped:
            self._reading.clear()
        else:
            self._reading.set()

    def ignore_pings(self, ignored: bool) -> None:
        """Leave the container's pings unanswered, or answer them again (F5)."""
        self._answer_pings = not ignored

    @property
    def congested(self) -> bool:
        """Whether the container takes frames more slowly than they come."""
        unsent = self._writer.transport.get_write_buffer_size() + self._unwritten
        return bool(self._waiting) or unsent > WRITE_BUFFER

    async def drain(self) -> None:
        """Wait while the container takes frames more slowly than they come."""
        if self._pumping is not None:
            await asyncio.wait({self._pumping})
        with contextlib.suppress(OSError):
            self._flush()
            await self._writer.drain()

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """Send a Close frame.

        Args:
            code, reason: RFC 6455 5.5.1.
            discard: drop the frames that still wait (E3); else they go first.
        """
        if not discard:
            self._pump(limit=sys.maxsize)
        for frame in self._waiting:
            self._discard(frame, OVERTAKEN)
        self._waiting.clear()
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self._flush()

    async def wait_closed(
        self, clock: Clock, late: Callable[[int], None] = lambda size: None
    ) -> None:
        """Finish the closing handshake, at most `CLOSE_SECONDS`; then the socket is gone.

        Args:
            clock: measures the container.
            late: told the size of each data frame that still arrives: it is lost.
        """
        try:
            with contextlib.suppress(TimeoutError):
                async with clock.within(CLOSE_SECONDS):
                    await self._finish(late)
        finally:
            self.abort()

    async def _finish(self, late: Callable[[int], None]) -> None:
        while True:
            for frame in self._events():
                if frame.opcode in DATA:
                    late(len(frame.payload))
            if self._eof:
                return
            await self._read()

    def abort(self) -> None:
        """Drop the connection."""
        if self._pumping is not None:
            self._pumping.cancel()
        self._flush()
        self._writer.transport.abort()

    def _flush_soon(self) -> None:
        # Frames that come in one turn of the event loop go out in one write.
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        self._unwritten = 0
        data = self._protocol.data_to_send()
        if not data or self._writer.transport.is_closing():
            return
        self._writer.write(b"".join(data))
        # An empty piece says that nothing comes after it.
        if not data[-1] and self._writer.can_write_eof():
            with contextlib.suppress(OSError):
                self._writer.write_eof()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """What has arrived; nothing at the end, which a reset is too."""
    try:
        return await reader.read(READ_SIZE)
    except OSError:
        return b""


def _receive(protocol: ClientProtocol, data: bytes) -> None:
    if data:
        protocol.receive_data(data)
    else:
        protocol.receive_eof()


async def open_container(
    url: str,
    path: str,
    headers: list[tuple[str, str]],
    *,
    clock: Clock,
    seconds: float,
    frame_bytes: int,
) -> ContainerSocket:
    """Open the WebSocket to a container.

    Args:
        url: `ws://HOST:PORT` of the container.
        path: path and query of the upgrade request (O2).
        headers: what the container gets to see beside WebSocket's own (O9).
        clock: measures the container, so it is never scaled.
        seconds: time for the whole opening (O3).
        frame_bytes: largest frame accepted from the container (K5).

    Raises:
        ContainerRefused: with what the container did.
    """
    try:
        async with clock.within(seconds):
            return await _open(url, path, headers, frame_bytes)
    except TimeoutError:
        raise ContainerRefused(
            f"{url}{path} did not accept the WebSocket within {seconds * 1000:g} ms (O3)"
        ) from None


async def _open(
    url: str, path: str, headers: list[tuple[str, str]], frame_bytes: int
) -> ContainerSocket:
    uri = parse_uri(url + path)
    try:
        reader, writer = await asyncio.open_connection(uri.host, uri.port)
    except OSError as error:
        raise ContainerRefused(
            f"nothing accepts connections at {url} ({error.strerror or error}); start the "
            "container, or correct the endpoint's address"
        ) from error
    try:
        protocol = ClientProtocol(uri, max_size=(None, frame_bytes), logger=_quiet)
        request = protocol.connect()
        for name, value in headers:
            request.headers[name] = value
        protocol.send_request(request)
        writer.writelines(protocol.data_to_send())
        # It may be closing already: a container can accept, speak and close in one segment.
        while protocol.state is CONNECTING:
            _receive(protocol, await _read(reader))
            _check_handshake(protocol, url + path)
        # Frames may have come in the same segment as the response: leave them in the protocol.
        response = protocol.events.pop(0)
        assert isinstance(response, Response)
        headers_received = {name.lower(): value for name, value in response.headers.raw_items()}
        return ContainerSocket(reader, writer, protocol, headers_received)
    except BaseException:
        writer.transport.abort()
        raise


def _check_handshake(protocol: ClientProtocol, target: str) -> None:
    error = protocol.handshake_exc
    if error is None:
        return
    if isinstance(error, InvalidStatus):
        what = f"answered the upgrade with HTTP {error.response.status_code}"
    elif isinstance(error.__cause__, EOFError):
        what = f"ended the connection during the upgrade: {error.__cause__}"
    else:
        what = f"answered the upgrade with an invalid handshake: {error}"
    raise ContainerRefused(f"{target} {what}") from error
