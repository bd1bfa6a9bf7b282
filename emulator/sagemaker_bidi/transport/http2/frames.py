"""Frames out of the client's bytes, and what is wrong with a frame by itself (RFC 9113 4 and 6).

h2's own reader waits for a whole frame before it looks at its length, joins a header block of any
size, and ends the connection where the RFC asks for the stream's end. Nothing else of h2 differs.
"""

from __future__ import annotations

from dataclasses import dataclass

from h2.errors import ErrorCodes
from h2.exceptions import (
    DenialOfServiceError,
    FrameDataMissingError,
    FrameTooLargeError,
    ProtocolError,
)
from h2.frame_buffer import FrameBuffer
from hyperframe.exceptions import InvalidDataError, InvalidFrameError
from hyperframe.frame import (
    AltSvcFrame,
    ContinuationFrame,
    Frame,
    HeadersFrame,
    PriorityFrame,
    PushPromiseFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from sagemaker_bidi.transport.http2.settings import Http2Settings

FRAME_HEADER = 9  # bytes, RFC 9113 4.1
_COSTLY = (HeadersFrame.type, SettingsFrame.type)
_CARRIES_HEADERS = (HeadersFrame.type, ContinuationFrame.type)


@dataclass(frozen=True, slots=True)
class FaultyFrame:
    """A frame that is wrong in a way that concerns its stream only (RFC 9113 5.4.2)."""

    stream_id: int
    code: ErrorCodes
    why: str


class FrameReader(FrameBuffer):
    """h2's buffer of received bytes, iterated over as frames.

    Args:
        settings: largest header block and how many frames it may come in.
    """

    def __init__(self, settings: Http2Settings) -> None:
        super().__init__(server=True)
        self._settings = settings
        self._block_bytes = 0
        self._blocks = 0
        self._greeted = False
        self._turn = 0
        self.more = False

    def begin_turn(self, effort: int) -> None:
        """Give out frames of so much effort at most; `more` says whether others wait then.

        Args:
            effort: DATA takes 1 of it; HEADERS, which begin a session, and SETTINGS, which may
                move every stream's window, take 16.
        """
        self._turn = effort
        self.more = False

    @property
    def owed_block(self) -> int | None:
        """Which header block the client owes, counted from 0; None where it owes none.

        It owes the first one from the beginning, and each other one from its first bytes on.
        """
        begun = self._headers_buffer or (len(self._data) > 3 and self._data[3] in _CARRIES_HEADERS)
        return self._blocks if begun or not self._blocks else None

    # h2 iterates over its buffer; a `FaultyFrame` goes through h2's own dispatch table.
    def __next__(self) -> Frame | FaultyFrame:  # type: ignore[override]
        data = self._data
        while len(data) >= FRAME_HEADER:
            length = int.from_bytes(data[:3])
            if length > self.max_frame_size:
                raise FrameTooLargeError(
                    f"a frame of {length} bytes, where {self.max_frame_size} are allowed "
                    "(http2.max_frame_size)"
                )
            end = FRAME_HEADER + length
            if len(data) < end:
                break
            if self._turn <= 0:
                self.more = True
                break
            self._turn -= 16 if data[3] in _COSTLY else 1
            try:
                frame, _ = Frame.parse_frame_header(memoryview(data[:FRAME_HEADER]))
            except (InvalidDataError, InvalidFrameError) as error:
                raise ProtocolError(str(error)) from error
            if not self._greeted:
                self._greet(frame)
            body = memoryview(data[FRAME_HEADER:end])
            del data[:end]
            if self._headers_buffer or isinstance(frame, HeadersFrame | PushPromiseFrame):
                whole = self._gather(frame, body)
                if whole is not None:
                    return whole
                continue
            try:
                frame.parse_body(body)
            except (InvalidDataError, InvalidFrameError) as error:
                return _faulty(frame, error)
            return frame
        raise StopIteration

    def _greet(self, frame: Frame) -> None:
        if not isinstance(frame, SettingsFrame) or "ACK" in frame.flags:
            raise ProtocolError("the connection does not begin with SETTINGS (RFC 9113 3.4)")
        self._greeted = True

    def _gather(self, frame: Frame, body: memoryview) -> Frame | None:
        """A header block's frames as one HEADERS or PUSH_PROMISE; None while some are missing."""
        buffer = self._headers_buffer
        if buffer and not (
            isinstance(frame, ContinuationFrame) and frame.stream_id == buffer[0].stream_id
        ):
            raise ProtocolError("a frame of another kind or stream within a header block")
        assert isinstance(frame, HeadersFrame | PushPromiseFrame | ContinuationFrame)
        try:
            frame.parse_body(body)
        except InvalidDataError as error:
            raise ProtocolError(str(error)) from error
        except InvalidFrameError as error:
            raise FrameDataMissingError(str(error)) from error
        buffer.append(frame)
        self._block_bytes += len(frame.data)
        self._limit_block()
        if "END_HEADERS" not in frame.flags:
            return None
        whole = buffer[0]
        if len(buffer) > 1:
            whole.flags.add("END_HEADERS")
            whole.data = b"".join(part.data for part in buffer)
        self._headers_buffer = []
        self._block_bytes = 0
        self._blocks += 1
        return whole

    def _limit_block(self) -> None:
        most, size = self._settings.max_continuations, self._settings.max_header_list
        if len(self._headers_buffer) - 1 > most:
            raise DenialOfServiceError(
                f"a header block of more than {most} CONTINUATION frames (http2.max_continuations)"
            )
        # No field takes more bytes in a block than max_header_list counts for it (32 for each
        # beside its name and value, RFC 9113 6.5.2), unless its sender makes it longer on purpose.
        if self._block_bytes > size:
            raise DenialOfServiceError(
                f"a header block of more than {size} bytes (http2.max_header_list)"
            )


def _faulty(frame: Frame, error: InvalidDataError | InvalidFrameError) -> FaultyFrame:
    match frame:
        case AltSvcFrame():  # A server ignores it: RFC 7838 4.
            return FaultyFrame(0, ErrorCodes.NO_ERROR, str(error))
        case WindowUpdateFrame() if frame.stream_id and isinstance(error, InvalidDataError):
            return FaultyFrame(frame.stream_id, ErrorCodes.PROTOCOL_ERROR, str(error))
        case PriorityFrame():
            return FaultyFrame(frame.stream_id, ErrorCodes.FRAME_SIZE_ERROR, str(error))
        case SettingsFrame():
            # An acknowledgement with a payload is a size error too (RFC 9113 6.5).
            raise FrameDataMissingError(str(error)) from error
        case _ if isinstance(error, InvalidFrameError):
            raise FrameDataMissingError(str(error)) from error
        case _:
            raise ProtocolError(str(error)) from error
