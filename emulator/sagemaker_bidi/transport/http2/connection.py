"""A client's HTTP/2 connection: many streams, none of which can disturb another (RFC 9113).

Two rules keep the streams apart. Received bytes are credited to the connection's window on
arrival and to the stream's window only when its session has taken them, so that a session that
stalls stops its own client and nobody else. And one writer takes a frame from each stream in turn,
as far as the stream's window allows.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import cast

import h2.events
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.transport.http2.incoming import Incoming
from sagemaker_bidi.transport.http2.protection import Flood, Protection
from sagemaker_bidi.transport.http2.sender import Sender
from sagemaker_bidi.transport.http2.settings import Http2Settings
from sagemaker_bidi.transport.http2.state import (
    FIRST_WINDOW,
    FrameIgnored,
    ServerState,
    StreamFailed,
    said,
)
from sagemaker_bidi.transport.http2.stream import Stream, StreamReset

logger = logger_named("bidi.http2")

CLOSE_SECONDS = 1.0
TURN = 32  # effort that is taken from one connection before the others have their turn
LOST_AT_ONCE = 4  # sessions that end with their connection, before the others have their turn


class Connection:
    """Serves one connection until either side ends it.

    Args:
        reader, writer: the connection after its TLS handshake.
        settings: limits and windows.
        serve: answers one request; an exception of its ends that stream alone.
        stopping: set when the server stops; the connection then sends GOAWAY, takes no new
            stream and ends when its last stream has.
        clock: measures the client, so it is never scaled.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        settings: Http2Settings,
        serve: Callable[[Stream], Awaitable[None]],
        stopping: asyncio.Event,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._settings = settings
        self._serve = serve
        self._stopping = stopping
        self._clock = clock
        self._socket = writer.get_extra_info("socket")
        self._peer = _address(writer.get_extra_info("peername"))
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._silences: set[asyncio.Task[None]] = set()
        self._closed = False
        self._aborted = False
        self._leaving = False
        self._last_stream = 0
        self._uncredited = 0
        self._refused = 0
        self._window_opened = False
        self._protection = Protection(settings, clock.now())
        self._h2 = ServerState(settings)
        # What windows allow, and as much again for the frames around it.
        silent_bytes = 2 * settings.connection_window
        self._incoming = Incoming(
            reader, self._socket, clock, settings.headers_seconds, silent_bytes
        )
        self._sender = Sender(writer, self._h2, settings.send_buffer)

    async def run(self) -> None:
        """Serve until the connection ends; returns with every stream's task done."""
        self._start()
        sending = asyncio.create_task(self._sender.run(), name=f"http2-send {self._peer}")
        stopping = asyncio.create_task(self._stop(), name=f"http2-stop {self._peer}")
        try:
            await self._read()
        finally:
            await self._lose()
            stopping.cancel()
            sending.cancel()
            for silence in self._silences:
                silence.cancel()
            await asyncio.gather(
                sending, stopping, *self._silences, *self._tasks, return_exceptions=True
            )
            await self._close()

    async def refuse(self, why: str) -> None:
        """Take no request: end the connection with GOAWAY ENHANCE_YOUR_CALM.

        Args:
            why: for the client and the log.
        """
        self._start()
        self._end(ErrorCodes.ENHANCE_YOUR_CALM, why)
        await self._close()

    def _start(self) -> None:
        self._h2.initiate_connection()
        self._sender.credit(self._settings.connection_window - FIRST_WINDOW)
        self._sender.flush()

    # Reading.

    async def _read(self) -> None:
        while not self._closed:
            try:
                data = await self._incoming.read(self._h2.frames.owed_block)
                if not data:
                    return
                self._take_turn(data)
                while self._h2.frames.more:
                    # However much has come, the other connections have their turn in between.
                    await asyncio.sleep(0)
                    self._take_turn(b"")
            except OSError:
                return
            except ProtocolError as error:
                # h2 has queued the GOAWAY that RFC 9113 5.4.1 asks for.
                self._sender.flush()
                self._log_end(f"{type(error).__name__}: {said(error)}")
                return
            except Flood as flood:
                self._end(ErrorCodes.ENHANCE_YOUR_CALM, str(flood))
                return

    def _take_turn(self, data: bytes) -> None:
        self._h2.frames.begin_turn(TURN)
        self._protection.sent_data(self._sender.take_data_frames())
        for event in self._h2.receive_data(data):
            self._receive(event)
        self._after_events()

    def _after_events(self) -> None:
        if self._window_opened:
            # However many frames opened it, the streams are asked once.
            self._window_opened = False
            self._sender.wake_all(self._streams.values())
        self._sender.flush()
        self._protection.unread(self._sender.unread)

    def _receive(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived():
                self._receive_body(event)
            case h2.events.RequestReceived():
                self._open(event)
            case h2.events.StreamEnded():
                if stream := self._streams.get(_id(event.stream_id)):
                    stream.end_received()
            case h2.events.StreamReset():
                self._receive_reset(event)
            case h2.events.WindowUpdated():
                self._protection.receive_idle(self._clock.now())
                if not event.stream_id:
                    self._window_opened = True
                elif stream := self._streams.get(event.stream_id):
                    self._sender.wake(stream)
            case h2.events.RemoteSettingsChanged():
                self._protection.receive_control(self._clock.now())
                self._window_opened = True
            case (
                h2.events.PingReceived()
                | h2.events.PingAckReceived()
                | h2.events.SettingsAcknowledged()
                | h2.events.PriorityUpdated()
                | h2.events.UnknownFrameReceived()
            ):
                self._protection.receive_control(self._clock.now())
            case FrameIgnored():
                self._protection.receive_idle(self._clock.now())
            case h2.events.ConnectionTerminated():
                self._protection.receive_control(self._clock.now())
                logger.debug("%s: received GOAWAY %s", self._peer, _code(event.error_code))
            case _:
                pass

    def _receive_body(self, event: h2.events.DataReceived) -> None:
        length = event.flow_controlled_length or 0
        if not event.stream_ended:
            now = self._clock.now()
            if event.data:
                self._protection.receive_data(len(event.data), now)
            else:
                self._protection.receive_empty_data(now)
        self._uncredited += length
        if self._uncredited >= self._settings.connection_window // 4:
            self._sender.credit(self._uncredited)
            self._uncredited = 0
        stream = self._streams.get(_id(event.stream_id))
        if stream is not None and event.data is not None:
            stream.data_received(event.data, length)

    def _receive_reset(self, event: h2.events.StreamReset) -> None:
        stream = self._streams.pop(_id(event.stream_id), None)
        code = _code(event.error_code)
        if event.remote_reset:
            if stream is None:
                return
            why = f"received RST_STREAM {code}"
        else:
            wrong = event.why if isinstance(event, StreamFailed) else "RFC 9113 5.1, 6.9.1"
            why = f"sent RST_STREAM {code}, since the client broke the stream: {wrong}"
            logger.warning("%s#%d: %s", self._peer, event.stream_id, why)
        if stream is not None:
            stream.lost(StreamReset("client", why))
        self._protection.receive_reset(self._clock.now())

    def _open(self, event: h2.events.RequestReceived) -> None:
        stream_id = _id(event.stream_id)
        self._protection.receive_request(self._clock.now())
        if self._leaving or len(self._streams) >= self._settings.max_streams:
            self._sender.reset(stream_id, ErrorCodes.REFUSED_STREAM)
            if not self._leaving:
                self._refused += 1
                if self._refused.bit_count() == 1:  # A flood writes ten lines and not a thousand.
                    logger.warning(
                        "%s#%d: refused: %d streams are open (http2.max_streams); %d so far",
                        *(self._peer, stream_id, len(self._streams), self._refused),
                    )
                self._protection.receive_reset(self._clock.now())
            return
        self._last_stream = stream_id
        self._sender.credit(self._h2.grant, stream_id)
        headers = [(str(name), str(value)) for name, value in event.headers or []]
        stream = Stream(stream_id, headers, self, self._settings, self._peer)
        self._streams[stream_id] = stream
        task = asyncio.create_task(self._answer(stream), name=f"stream {self._peer}#{stream_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, stream: Stream) -> None:
        try:
            await self._serve(stream)
        except StreamReset:
            pass
        except Exception:
            logger.exception("%s#%d: the session failed", self._peer, stream.id)
            stream.reset(ErrorCodes.INTERNAL_ERROR)
        else:
            if not stream.ending:
                # Silence would leave the client waiting for ever.
                stream.reset(ErrorCodes.INTERNAL_ERROR)
        finally:
            await stream.flushed()
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        self._streams.pop(stream.id, None)
        self._sender.forget(stream)
        complete = stream.ended and stream.reset_code is None
        if complete and not stream.request_ended and not self._closed:
            # RFC 9113 8.1: a complete response needs no more of the request (E8).
            self._sender.reset(stream.id, ErrorCodes.NO_ERROR)
        self._h2.forget(stream.id)

    # What a stream asks of its connection.

    def send_headers(self, stream_id: int, headers: list[tuple[str, str]]) -> None:
        """Send response headers now."""
        self._sender.send_headers(stream_id, headers)

    def wake(self, stream: Stream) -> None:
        """A stream has something to send."""
        self._sender.wake(stream)

    def credit(self, stream_id: int, amount: int) -> None:
        """Open a stream's window by what its session has taken."""
        self._sender.credit(amount, stream_id)

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """Send RST_STREAM."""
        self._sender.reset(stream_id, code)

    def goaway(self, code: ErrorCodes) -> None:
        """Send GOAWAY; open streams go on, new ones are refused."""
        self._leaving = True
        self._sender.goaway(self._last_stream, code)

    def go_silent(self, until: asyncio.Event) -> None:
        """Neither take nor send anything until then, and say nothing about it."""
        self._incoming.go_silent(True)
        self._sender.go_silent(True)
        silence = asyncio.create_task(self._be_silent(until), name=f"silence {self._peer}")
        self._silences.add(silence)

    async def _be_silent(self, until: asyncio.Event) -> None:
        try:
            await until.wait()
        finally:
            self._silences.discard(cast(asyncio.Task[None], asyncio.current_task()))
            if not self._silences:
                self._sender.go_silent(False)
                self._incoming.go_silent(False)

    def abort(self) -> None:
        """Drop the TCP connection with RST."""
        self._aborted = True
        with contextlib.suppress(OSError, ValueError):
            linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    # Ending.

    async def _stop(self) -> None:
        await self._stopping.wait()
        self.goaway(ErrorCodes.NO_ERROR)
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._closed = True
        self._sender.flush()
        self._writer.close()
        # A peer that never answers TLS's close_notify must not hold us.
        await asyncio.sleep(CLOSE_SECONDS)
        self._writer.transport.abort()

    def _end(self, code: ErrorCodes, why: str) -> None:
        self._sender.goaway(self._last_stream, code, why)
        self._log_end(why)

    def _log_end(self, why: str) -> None:
        logger.warning("%s: connection ended with GOAWAY: %s", self._peer, why)

    async def _lose(self) -> None:
        self._closed = True
        for number, stream in enumerate(list(self._streams.values()), 1):
            if number % LOST_AT_ONCE == 0:
                await asyncio.sleep(0)
            stream.lost(
                StreamReset("emulator", "reset the TCP connection")
                if self._aborted
                else StreamReset("client", "the connection was lost")
            )
        self._streams.clear()

    async def _close(self) -> None:
        self._sender.flush()
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.wait_closed()
        self._writer.transport.abort()


def _id(stream_id: int | None) -> int:
    assert stream_id is not None
    return stream_id


def _code(code: ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else f"code {code}"


def _address(peername: object) -> str:
    match peername:
        case (str(host), int(port), *_):
            return f"{host}:{port}"
        case _:
            return str(peername or "unknown")
