"""One HTTP/2 stream as a session sees it: bytes in at its own pace, bytes out, a defined end."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Literal, Protocol

from h2.errors import ErrorCodes

from sagemaker_bidi.transport.deliveries import TOO_LATE, UNCOUNTED, Deliveries
from sagemaker_bidi.transport.http2.settings import Http2Settings


class StreamReset(Exception):
    """The stream ended before its time.

    Args:
        by: `client` for RST_STREAM or a lost connection, `emulator` for our own reset.
        why: what was seen.
    """

    def __init__(self, by: Literal["client", "emulator"], why: str) -> None:
        super().__init__(why)
        self.by = by
        self.why = why


class Outgoing(Protocol):
    """What a stream asks of its connection."""

    def send_headers(self, stream_id: int, headers: list[tuple[str, str]]) -> None: ...
    def wake(self, stream: Stream) -> None: ...
    def credit(self, stream_id: int, amount: int) -> None: ...
    def reset(self, stream_id: int, code: ErrorCodes) -> None: ...
    def goaway(self, code: ErrorCodes) -> None: ...
    def go_silent(self, until: asyncio.Event) -> None: ...
    def abort(self) -> None: ...


class Stream:
    """A request and its response.

    Args:
        stream_id: RFC 9113 5.1.1.
        headers: the request's, pseudo-headers included, names in lower case.
        connection: where the response goes.
        settings: windows and buffers.
        peer: the client's address, for logs.
    """

    def __init__(
        self,
        stream_id: int,
        headers: list[tuple[str, str]],
        connection: Outgoing,
        settings: Http2Settings,
        peer: str,
    ) -> None:
        self.id = stream_id
        self.headers = headers
        self.peer = peer
        self.response_started = False
        self.deliveries: Deliveries = UNCOUNTED
        self.pending: deque[tuple[memoryview, int | None]] = deque()
        self.pending_bytes = 0
        self.ending = False
        self.ended = False
        self.discarded = 0
        self.request_end = asyncio.Event()
        self.reset_code: ErrorCodes | None = None
        self._connection = connection
        self._send_buffer = settings.send_buffer
        # A WINDOW_UPDATE for each DATA frame would double the frames on the wire.
        self._credit_from = max(1, settings.stream_window // 4)
        self._received: list[bytes] = []
        self._received_length = 0
        self._taken = 0
        self._withheld = False
        self._reset: StreamReset | None = None
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._flushed = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._gone = asyncio.Event()
        self._input_over = asyncio.Event()

    @property
    def request_ended(self) -> bool:
        """Whether END_STREAM has arrived."""
        return self.request_end.is_set()

    # The session's side.

    async def receive(self) -> bytes | None:
        """The next bytes of the request's body; None at its end.

        Asking for more says that what was returned before has been taken: only then is it
        credited to the client's window (RFC 9113 5.2).

        Raises:
            StreamReset: the client reset the stream or its connection was lost.
        """
        self._credit_taken()
        await self._readable.wait()
        if self._received:
            data = self._received[0] if len(self._received) == 1 else b"".join(self._received)
            self._taken += self._received_length
            self._received = []
            self._received_length = 0
            if self._reset is None and not self.request_ended:
                self._readable.clear()
            return data
        if self._reset is not None:
            raise self._reset
        return None

    def send_headers(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Begin the response."""
        self.response_started = True
        self._connection.send_headers(self.id, [(":status", str(status)), *headers])

    def send(self, data: bytes, size: int | None = None) -> None:
        """Queue bytes of the response's body; `drain` waits until there is room for more.

        Args:
            data: a whole message.
            size: reported to `deliveries` once the last byte has been written, or all is lost;
                None for a message that is not accounted for.
        """
        if self.ending or self._reset is not None or not data:
            if size is not None:
                self.deliveries.lose(size, TOO_LATE)
            return
        self.pending.append((memoryview(data), size))
        self._written.clear()
        self.pending_bytes += len(data)
        if self.pending_bytes > self._send_buffer:
            self._writable.clear()
        self._connection.wake(self)

    async def drain(self) -> None:
        """Wait while the client reads more slowly than the session writes.

        Raises:
            StreamReset: the client reset the stream or its connection was lost.
        """
        await self._writable.wait()
        if self._reset is not None:
            raise self._reset

    def end(self, reset: ErrorCodes | None = None) -> None:
        """End the response once what is queued has been sent: with END_STREAM, or RST_STREAM.

        Args:
            reset: code of the RST_STREAM; None for END_STREAM.
        """
        if not self.ending and self._reset is None:
            self.ending = True
            self.reset_code = reset
            self._connection.wake(self)
            # E8: what nobody will take is credited, or its client would wait in the middle of it.
            self._discard(self._received_length)
            self._received = []
            self._received_length = 0

    async def input_over(self) -> None:
        """Wait until END_STREAM has arrived, or the stream is lost."""
        await self._input_over.wait()

    async def gone(self) -> StreamReset:
        """Wait until the stream is lost, whatever else is waited for meanwhile."""
        await self._gone.wait()
        assert self._reset is not None
        return self._reset

    async def flushed(self) -> None:
        """Wait until the end of the response has been written, or the stream is lost."""
        await self._flushed.wait()

    def reset(self, code: ErrorCodes) -> None:
        """End the stream at once with RST_STREAM; what is queued is dropped (RFC 9113 5.4.2)."""
        if self._reset is None and not self.ended:
            self._connection.reset(self.id, code)
            self.lost(StreamReset("emulator", f"sent RST_STREAM {code.name}"))

    # What a fault may command.

    async def written(self) -> None:
        """Wait until nothing is queued, or the stream is lost."""
        await self._written.wait()

    def withhold(self, withheld: bool = True) -> None:
        """Stop crediting what the session takes, so that the client's window runs dry.

        With `withheld` False all that was held back is credited at once: no byte is lost.
        """
        self._withheld = withheld
        if not withheld and self._taken:
            self._connection.credit(self.id, self._taken)
            self._taken = 0

    def goaway(self, code: ErrorCodes) -> None:
        """Have the connection send GOAWAY (RFC 9113 6.8)."""
        self._connection.goaway(code)

    def go_silent(self, until: asyncio.Event) -> None:
        """Have the connection neither read nor write: a network that swallows packets."""
        self._connection.go_silent(until)

    def abort_connection(self) -> None:
        """Have the connection reset on TCP's level."""
        self._connection.abort()

    # The connection's side.

    def data_received(self, data: bytes, flow_controlled_length: int) -> None:
        """DATA arrived; `flow_controlled_length` counts padding too."""
        if self.ending:
            self._discard(flow_controlled_length)
            return
        self._received.append(data)
        self._received_length += flow_controlled_length
        self._readable.set()

    def end_received(self) -> None:
        """END_STREAM arrived."""
        self.request_end.set()
        self._input_over.set()
        self._readable.set()

    def lost(self, reset: StreamReset) -> None:
        """The stream is gone: wake whoever waits."""
        if self._reset is None and not self.ended:
            self._reset = reset
            self._gone.set()
        for _, size in self.pending:
            if size is not None:
                self.deliveries.lose(size, TOO_LATE)
        self.pending.clear()
        self.pending_bytes = 0
        self._written.set()
        self._readable.set()
        self._writable.set()
        self._flushed.set()
        self._input_over.set()

    def take(self, size: int) -> bytes:
        """Up to `size` bytes of what is queued, for a DATA frame."""
        head, reported = self.pending[0]
        if len(head) <= size:
            self.pending.popleft()
            data = head
            if not self.pending:
                self._written.set()
            if reported is not None:
                self.deliveries.deliver(reported)
        else:
            data = head[:size]
            self.pending[0] = (head[size:], reported)
        self.pending_bytes -= len(data)
        if self.pending_bytes <= self._send_buffer // 2:
            self._writable.set()
        return bytes(data)

    def written_to_end(self) -> None:
        """The end of the response has been written."""
        self.ended = True
        self._writable.set()
        self._flushed.set()

    def _discard(self, length: int) -> None:
        self.discarded += length
        self._taken += length
        self._withheld = False
        self._credit_taken()

    def _credit_taken(self) -> None:
        if self._taken >= self._credit_from and not self._withheld:
            self._connection.credit(self.id, self._taken)
            self._taken = 0
