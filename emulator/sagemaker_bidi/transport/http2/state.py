"""h2's state of a connection, where ours has to differ from what h2 does by itself.

Most of it is one rule: what is wrong with one stream ends that stream (RFC 9113 5.4.2). h2 ends
the connection with all its streams for a malformed request, as RFC 9113 5.4.1 allows.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack
from h2.connection import ConnectionInputs, ConnectionState, H2ConnectionStateMachine
from h2.errors import ErrorCodes
from h2.exceptions import (
    DenialOfServiceError,
    ProtocolError,
    StreamClosedError,
    StreamIDTooLowError,
)
from h2.stream import StreamClosedBy, StreamState
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PriorityFrame,
    RstStreamFrame,
    WindowUpdateFrame,
)

from sagemaker_bidi.transport.http2.frames import FaultyFrame, FrameReader
from sagemaker_bidi.transport.http2.settings import Http2Settings

UNLIMITED = 2**31 - 1
FIRST_WINDOW = 65_535  # bytes, RFC 9113 6.9.2
SWEEP_FROM = 64  # streams
ENCODER_TABLE = 4096  # bytes, RFC 7541 4.2 and RFC 9113 6.5.2
_QUOTED = re.compile(r"(?::| present:)? b(['\"]).*", re.DOTALL)
# h2 would close the open streams at a GOAWAY (RFC 9113 6.8), and the connection at one that comes
# before the first request.
_TRANSITIONS = {
    **H2ConnectionStateMachine._transitions,
    **{
        (state, ConnectionInputs.RECV_GOAWAY): (None, state)
        for state in (ConnectionState.IDLE, ConnectionState.SERVER_OPEN)
    },
}
# At DEBUG it logs each header, signatures and tokens included.
logging.getLogger("hpack").setLevel(logging.INFO)


def said(error: ProtocolError) -> str:
    """What h2 says is wrong, without the header that it quotes: it may hold a token."""
    return _QUOTED.sub("", str(error))


class CompressionError(ProtocolError):
    """A header block that cannot be decoded: its connection's state is lost (RFC 9113 4.3)."""

    error_code = ErrorCodes.COMPRESSION_ERROR


@dataclass(kw_only=True)
class StreamFailed(h2.events.StreamReset):
    """The client broke the rules of one stream, and RST_STREAM was sent for it."""

    remote_reset: bool = False
    why: str = "frames came after its end"


@dataclass(kw_only=True)
class FrameIgnored(h2.events.Event):
    """A frame arrived that changed nothing, such as one on a stream that is over."""


class _Announced(h2.settings.Settings):
    """Settings whose stream limit is announced by h2 and enforced by the connection.

    h2 ends the whole connection over one stream too many; RFC 9113 5.1.2 lets it be refused.
    """

    @property
    def max_concurrent_streams(self) -> int:
        return UNLIMITED

    @max_concurrent_streams.setter
    def max_concurrent_streams(self, value: int) -> None:
        raise AttributeError("the stream limit is announced once")


class _Decoder(hpack.Decoder):
    """Says of each failure what it is: too much, or nonsense."""

    def decode(self, data: bytes, raw: bool = False) -> Iterable[hpack.HeaderTuple]:
        try:
            return super().decode(data, raw)
        except OversizedHeaderListError as error:
            raise DenialOfServiceError(
                f"a request with headers of more than {self.max_header_list_size} bytes "
                "(http2.max_header_list)"
            ) from error
        except (HPACKError, IndexError, TypeError, UnicodeDecodeError) as error:
            raise CompressionError(f"a header block that cannot be decoded: {error}") from error


class _Encoder(hpack.Encoder):
    """Takes up no more memory than it would unasked, whatever table the client allows.

    Each response's id is a new entry, so the table would grow for as long as the connection lasts.
    """

    @property
    def header_table_size(self) -> int:
        return self.header_table.maxsize

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        self.header_table.maxsize = min(value, ENCODER_TABLE)
        if self.header_table.resized:
            self.table_size_changes.append(self.header_table.maxsize)


class ServerState(h2.connection.H2Connection):
    """A server's state with the limits of `settings`, before its first bytes."""

    def __init__(self, settings: Http2Settings) -> None:
        super().__init__(h2.config.H2Configuration(client_side=False, header_encoding="latin-1"))
        self.state_machine._transitions = _TRANSITIONS
        codes = h2.settings.SettingCodes
        self.local_settings = _Announced(
            client=False,
            initial_values={
                codes.MAX_CONCURRENT_STREAMS: settings.max_streams,
                codes.MAX_FRAME_SIZE: settings.max_frame_size,
                codes.MAX_HEADER_LIST_SIZE: settings.max_header_list,
            },
        )
        self.max_inbound_frame_size = settings.max_frame_size
        self._stream_window = settings.stream_window
        self._sweep_at = SWEEP_FROM
        self.frames = FrameReader(settings)
        self.incoming_buffer = self.frames
        self.encoder = _Encoder()
        self.decoder = _Decoder(settings.max_header_list)
        table = cast(dict[type, Any], self._frame_dispatch_table)
        table[FaultyFrame] = self._receive_faulty_frame

    def initiate_connection(self) -> None:
        """Queue SETTINGS; a stream's window stays the protocol's own unless it is to be smaller.

        A client may use up the first window before it sees our SETTINGS, and awscrt does not
        resume a stream whose window they enlarge. `grant` does it with WINDOW_UPDATE.
        """
        super().initiate_connection()
        if self._stream_window < FIRST_WINDOW:
            # In force once acknowledged: until then a client sends by the protocol's own window.
            code = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
            self.update_settings({code: self._stream_window})

    @property
    def grant(self) -> int:
        """Bytes by which a stream's window has to be opened beyond the one it begins with."""
        return max(0, self._stream_window - FIRST_WINDOW)

    def goaway(self, last_stream: int, code: ErrorCodes, why: str) -> None:
        """Queue GOAWAY; the open streams go on (RFC 9113 6.8)."""
        # h2's own close_connection() would let nothing be sent on them after it.
        frame = GoAwayFrame(
            0, last_stream_id=last_stream, error_code=code, additional_data=why.encode()
        )
        self._data_to_send += frame.serialize()

    @property
    def open_inbound_streams(self) -> int:
        """Not counted here: the connection enforces the limit, and h2's own is out of reach.

        h2 counts them for each request by a look at every stream, and forgets those that are over
        on the way: with thousands of them that takes all the time there is. `forget` does it for
        one, and for those that nobody served it is done here when they have doubled.
        """
        if len(self.streams) >= self._sweep_at:
            self._open_streams(1)
            self._sweep_at = max(SWEEP_FROM, 2 * len(self.streams))
        return 0

    def forget(self, stream_id: int) -> None:
        """Keep of a stream that is over only how it ended (RFC 9113 5.1, "closed")."""
        stream = self.streams.get(stream_id)
        if stream is not None and stream.closed:
            del self.streams[stream_id]
            self._closed_streams[stream_id] = stream.closed_by

    def clear_outbound_data_buffer(self) -> None:
        """Keep what is queued: h2 drops it when the client says GOAWAY (RFC 9113 6.8)."""

    def _receive_frame(self, frame: Frame) -> list[h2.events.Event]:
        # As h2 has it, but for its last case, and without a text of each frame for a log.
        try:
            frames, events = self._frame_dispatch_table[frame.__class__](frame)
            events = events or [FrameIgnored()]
        except StreamClosedError as error:
            if not self._stream_is_closed_by_reset(error.stream_id):
                raise
            self._send_reset(error.stream_id, error.error_code)
            return error._events
        except StreamIDTooLowError as error:
            if self._stream_is_closed_by_reset(error.stream_id):
                self._send_reset(error.stream_id, ErrorCodes.STREAM_CLOSED)
                return [FrameIgnored()]
            if self._stream_is_closed_by_end(error.stream_id):
                raise StreamClosedError(error.stream_id) from error
            raise
        except ProtocolError as error:
            if not self._concerns_its_stream_only(frame, error):
                raise
            return self._fail(frame.stream_id, error.error_code, said(error))
        if frames:
            self._prepare_for_sending(frames)
        return cast(list[h2.events.Event], events)

    def _concerns_its_stream_only(self, frame: Frame, error: ProtocolError) -> bool:
        if frame.stream_id not in self.streams:
            return False
        match frame:
            case DataFrame():
                window = self._inbound_flow_control_window_manager
                if window.current_window_size < 0:
                    return False
                # Nobody will take these bytes: the connection's window gets them back here.
                if credit := window.process_bytes(frame.flow_controlled_length):
                    self._prepare_for_sending([WindowUpdateFrame(0, credit)])
                return True
            case HeadersFrame():
                return not isinstance(error, CompressionError | DenialOfServiceError)
            case PriorityFrame():
                return not self.streams[frame.stream_id].closed
            case _:
                return False

    def _fail(self, stream_id: int, code: ErrorCodes, why: str) -> list[h2.events.Event]:
        machine = self.streams[stream_id].state_machine
        machine.state = StreamState.CLOSED
        machine.stream_closed_by = StreamClosedBy.SEND_RST_STREAM
        self._send_reset(stream_id, code)
        return [StreamFailed(stream_id=stream_id, error_code=code, why=why)]

    def _send_reset(self, stream_id: int, code: ErrorCodes) -> None:
        self._prepare_for_sending([RstStreamFrame(stream_id, code)])

    def _receive_faulty_frame(
        self, frame: FaultyFrame
    ) -> tuple[list[Frame], list[h2.events.Event]]:
        stream = self.streams.get(frame.stream_id)
        if stream is not None and not stream.closed:
            return [], self._fail(frame.stream_id, frame.code, frame.why)
        if frame.stream_id > self.highest_inbound_stream_id:
            # An idle stream cannot be reset (RFC 9113 6.4).
            error = ProtocolError(frame.why)
            error.error_code = frame.code
            raise error
        return [], []

    def _receive_headers_frame(
        self, frame: HeadersFrame
    ) -> tuple[list[Frame], list[h2.events.Event]]:
        before = self.streams.get(frame.stream_id)
        expected = before._expected_content_length if before is not None else None
        frames, events = super()._receive_headers_frame(frame)
        # The priority that a request may bring is no frame of its own.
        events = [each for each in events if not isinstance(each, h2.events.PriorityUpdated)]
        if "END_STREAM" in frame.flags:
            # h2 compares the lengths where DATA ends a request only (RFC 9113 8.1.1).
            stream = self.streams[frame.stream_id]
            expected = stream._expected_content_length if before is None else expected
            if expected is not None and expected != stream._actual_content_length:
                raise ProtocolError(
                    f"content-length is {expected}, and {stream._actual_content_length} bytes came"
                )
        return frames, events

    def _receive_rst_stream_frame(
        self, frame: RstStreamFrame
    ) -> tuple[list[Frame], list[h2.events.Event]]:
        if frame.stream_id not in self.streams and (
            frame.stream_id > self.highest_inbound_stream_id or frame.stream_id % 2 == 0
        ):
            raise ProtocolError(f"RST_STREAM on stream {frame.stream_id}, which is idle")
        return super()._receive_rst_stream_frame(frame)

    def _receive_naked_continuation(self, frame: ContinuationFrame) -> None:
        raise ProtocolError("CONTINUATION without a header block (RFC 9113 6.10)")
