"""One HTTP/2 stream: its response as it comes, and its request under full control."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import h2.exceptions
from h2.errors import ErrorCodes

from sagemaker_bidi_contract.verdicts import Unmet
from sagemaker_bidi_contract.wire.events import Event, Malformed, Messages

if TYPE_CHECKING:
    from sagemaker_bidi_contract.wire.http2 import Http2Connection

_SHOWN = ("content-type", "x-amzn-requestid", "x-amzn-errortype")
_VARIANT = "x-amzn-invoked-production-variant"
_BODY_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """How a response ended.

    Args:
        by: END_STREAM, RST_STREAM, or the connection's end.
        code: of RST_STREAM, by its name.
        how: in words.
    """

    by: Literal["END_STREAM", "RST_STREAM", "connection"]
    code: str
    how: str

    @property
    def clean(self) -> bool:
        """Whether the response is complete."""
        return self.by == "END_STREAM"


class Http2Stream:
    """A request and its response.

    Args:
        connection: that it is on.
        stream_id: RFC 9113, 5.1.1.
        who: its name in the exchange.
    """

    def __init__(self, connection: Http2Connection, stream_id: int, who: str) -> None:
        self.id = stream_id
        self.who = who
        self.connection = connection
        self.headers: dict[str, str] = {}
        self.body = b""
        self.opened_at = time.perf_counter()
        self.answered_at = 0.0
        self.end: StreamEnd | None = None
        self.reset_after_end: str | None = None
        self._reads = True
        self._owed = 0
        self._messages = Messages()
        self._events: deque[Event] = deque()
        self._malformed = ""

    # What arrives.

    def receive_headers(self, headers: dict[str, str]) -> None:
        """The response's."""
        self.headers = headers
        self.answered_at = time.perf_counter()
        shown = [f"{name}: {headers[name]}" for name in (*_SHOWN, _VARIANT) if name in headers]
        self._note("received", ", ".join([f"HTTP {headers.get(':status')}", *shown]))

    def receive_data(self, data: bytes, length: int) -> None:
        """DATA; credited to the window unless the stream is held."""
        self._owed += length
        if self._reads:
            self._credit()
        if self.headers.get(":status") != "200":
            self.body = (self.body + data)[:_BODY_BYTES]
            return
        self._messages.receive(data)
        try:
            while not self._malformed and (event := self._messages.next()) is not None:
                self._note("received", str(event))
                self._events.append(event)
        except Malformed as error:
            self._malformed = str(error)
            self._note("received", f"bytes that are no message: {error}")

    def receive_end(self) -> None:
        """END_STREAM."""
        if self._messages.left and not self._malformed:
            self._malformed = f"the response ends {self._messages.left:,} bytes into a message"
        self._note("received", "END_STREAM")
        self.end = StreamEnd("END_STREAM", "", "END_STREAM")

    def receive_reset(self, code: int) -> None:
        """RST_STREAM; after END_STREAM it only stops the request (RFC 9113, 8.1)."""
        name = code_name(code)
        self._note("received", f"RST_STREAM {name}")
        if self.end is None:
            self.end = StreamEnd("RST_STREAM", name, f"RST_STREAM {name}")
        else:
            self.reset_after_end = name

    # What is asked.

    @property
    def status(self) -> int | None:
        """HTTP status, None before it has come."""
        return int(self.headers[":status"]) if ":status" in self.headers else None

    @property
    def seconds(self) -> float:
        """From the request to the response's headers."""
        return self.answered_at - self.opened_at

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        return self.end is not None or bool(self.connection.over)

    async def answered(self, within: float) -> int:
        """Wait for the response's headers; gives the status.

        Raises:
            Unmet: none in time, or the stream ended without.
        """
        what = "the response's headers"
        await self.connection.until(lambda: bool(self.headers) or self.over, within, what)
        if self.status is None:
            raise Unmet(f"the stream ended without an answer: {self._ending().how}", what)
        return self.status

    async def finished(self, within: float) -> StreamEnd:
        """Wait for the end of the response.

        Raises:
            Unmet: it did not end in time.
        """
        await self.connection.until(lambda: self.over, within, "the end of the response")
        return self._ending()

    async def receive(self, within: float, what: str) -> Event | StreamEnd:
        """The next message, or the end; the end is given again and again.

        Raises:
            Unmet: neither came in time, or it is no event-stream message.
        """
        await self.connection.until(
            lambda: bool(self._events or self._malformed or self.over), within, what
        )
        if self._events:
            return self._events.popleft()
        if self._malformed:
            raise Unmet(
                f"the response holds bytes that are no event-stream message: {self._malformed}",
                f"{what}, encoded as W3 has it",
            )
        return self._ending()

    def _ending(self) -> StreamEnd:
        return self.end or StreamEnd("connection", "", self.connection.over)

    # What is sent.

    async def write(self, data: bytes, within: float, *, end: bool = False) -> None:
        """Send DATA as the windows allow; stops at the stream's end.

        Raises:
            Unmet: the windows stay closed.
        """
        connection, view = self.connection, memoryview(data)
        room = "room in the HTTP/2 windows for more input"
        while view:
            await connection.until(lambda: self.window > 0 or self.over, within, room)
            size = min(self.window, connection.h2.max_outbound_frame_size, len(view))
            if not size:
                return
            last = end and size == len(view)
            connection.h2.send_data(self.id, bytes(view[:size]), end_stream=last)
            view = view[size:]
            connection.flush()
            await connection.drain()
        if end and not data and not self.over:
            connection.h2.end_stream(self.id)
            connection.flush()

    @property
    def window(self) -> int:
        """What may be sent now, bytes."""
        return 0 if self.over else self.connection.h2.local_flow_control_window(self.id)

    def cancel(self, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Send RST_STREAM."""
        if self.end is None and not self.connection.over:
            self._note("sent", f"RST_STREAM {code.name}")
            self.connection.h2.reset_stream(self.id, code)
            self.connection.flush()
            self.end = StreamEnd("RST_STREAM", code.name, f"our RST_STREAM {code.name}")

    def hold(self) -> None:
        """Credit no more of what arrives: the server's window closes."""
        self._reads = False

    def release(self) -> None:
        """Credit what has arrived, and all that follows."""
        self._reads = True
        self._credit()
        self.connection.flush()

    def _credit(self) -> None:
        owed, self._owed = self._owed, 0
        if owed and self.end is None:
            # The stream may have ended later in the same batch of frames.
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self.connection.h2.increment_flow_control_window(owed, self.id)

    def _note(self, direction: Literal["sent", "received"], text: str) -> None:
        self.connection.log.add(self.who, direction, text)


def code_name(code: int) -> str:
    """An HTTP/2 error code by its name (RFC 9113, 7)."""
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"code {code}"
