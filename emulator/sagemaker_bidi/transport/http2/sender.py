"""The writing half of a connection: one frame from each stream in turn, as its window allows."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import OrderedDict
from collections.abc import Iterable

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from sagemaker_bidi.transport.http2.state import ServerState
from sagemaker_bidi.transport.http2.stream import Stream, StreamReset

WRITE_SIZE = 64 * 1024


class Sender:
    """Writes what h2 and the streams have for the client.

    What is queued within one turn of the event loop goes out in one write: a TLS record and a
    system call for each frame would cost more than all the rest.

    Args:
        writer: the connection.
        connection: h2's state of it.
        buffer: bytes in the socket's buffer from which on the streams wait.
    """

    def __init__(self, writer: asyncio.StreamWriter, connection: ServerState, buffer: int) -> None:
        self._silent = False
        self._writer = writer
        self._h2 = connection
        self._buffer = buffer
        self._ready: OrderedDict[int, Stream] = OrderedDict()
        self._work = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._flush_due = False
        self._data_frames = 0

    async def run(self) -> None:
        """Write until cancelled, or until the connection is lost."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._ready and not self._silent:
                self._fill(WRITE_SIZE)
                self.flush()
                if self._buffered > self._buffer:
                    try:
                        await self._writer.drain()
                    except ConnectionError:
                        return

    def _fill(self, size: int) -> None:
        """Queue about `size` bytes of DATA, a frame from each stream in turn."""
        while self._ready and size > 0:
            _, stream = self._ready.popitem(last=False)
            before = stream.pending_bytes
            try:
                more = self._write_frame(stream)
            except ProtocolError as error:
                stream.lost(StreamReset("client", f"the stream closed while sending: {error}"))
                more = False
            if more:
                self._ready[stream.id] = stream
            size -= before - stream.pending_bytes

    def wake(self, *streams: Stream) -> None:
        """Streams that may have something to send."""
        for stream in streams:
            if stream.id not in self._ready and (stream.pending or stream.ending):
                self._ready[stream.id] = stream
                self._work.set()

    def wake_all(self, streams: Iterable[Stream]) -> None:
        """A window that all streams share has opened."""
        self.wake(*streams)

    def forget(self, stream: Stream) -> None:
        """A stream is gone."""
        self._ready.pop(stream.id, None)

    def send_headers(self, stream_id: int, headers: list[tuple[str, str]]) -> None:
        """Send response headers now; a stream that is gone is left alone."""
        with contextlib.suppress(ProtocolError):
            self._h2.send_headers(stream_id, headers)
        self._flush_soon()

    def credit(self, amount: int, stream_id: int | None = None) -> None:
        """Open a stream's window, or the connection's (RFC 9113 6.9); nothing where it is 0."""
        if not amount:
            return
        # h2 has KeyError for a stream that ended and that it has forgotten.
        with contextlib.suppress(ProtocolError, KeyError):
            self._h2.increment_flow_control_window(amount, stream_id)
        self._flush_soon()

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """Send RST_STREAM; a stream that is gone already is left alone."""
        with contextlib.suppress(ProtocolError):
            self._h2.reset_stream(stream_id, code)
        self._flush_soon()

    def go_silent(self, silent: bool) -> None:
        """Write nothing from here on, or go on; what is queued before still goes out."""
        if silent and not self._silent:
            self._fill(sys.maxsize)
        self.flush()
        self._silent = silent
        if not silent:
            self.flush()
            self._work.set()

    def goaway(self, last_stream: int, code: ErrorCodes, why: str = "") -> None:
        """Send GOAWAY and go on with the open streams (RFC 9113 6.8)."""
        self._h2.goaway(last_stream, code, why)
        self.flush()

    def flush(self) -> None:
        """Write what h2 has queued, now."""
        self._flush_due = False
        if self._silent:
            return
        data = self._h2.data_to_send()
        if data and not self._writer.transport.is_closing():
            self._writer.write(data)

    def take_data_frames(self) -> int:
        """How many DATA frames were written since it was last asked."""
        frames, self._data_frames = self._data_frames, 0
        return frames

    @property
    def unread(self) -> int:
        """Bytes that the client has not read, beyond what its streams may have in the buffer."""
        return self._buffered - self._buffer - WRITE_SIZE

    @property
    def _buffered(self) -> int:
        # A TLS transport of asyncio's that has been closed twice has no answer.
        transport = self._writer.transport
        return 0 if transport.is_closing() else transport.get_write_buffer_size()

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush_if_due)

    def _flush_if_due(self) -> None:
        if self._flush_due:
            self.flush()

    def _write_frame(self, stream: Stream) -> bool:
        """Write one DATA frame; True where the stream has more that its window allows."""
        if stream.pending:
            window = self._h2.local_flow_control_window(stream.id)
            if window <= 0:
                return False
            self._data_frames += 1
            data = stream.take(min(window, self._h2.max_outbound_frame_size))
            last = stream.ending and not stream.pending
            self._h2.send_data(stream.id, data, end_stream=last and stream.reset_code is None)
        elif stream.ending and not stream.ended:
            last = True
            if stream.reset_code is None:
                self._h2.end_stream(stream.id)
        else:
            return False
        if last:
            if stream.reset_code is not None:
                self._h2.reset_stream(stream.id, stream.reset_code)
            stream.written_to_end()
        return not last and bool(stream.pending)
