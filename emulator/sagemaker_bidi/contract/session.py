"""One session of a bidirectional stream, without I/O.

What arrives from either side goes in with the time; what must be done about it comes out, in
order. The driver owns the sockets and the clock, the session owns the rules.
"""

from __future__ import annotations

import math
from dataclasses import replace

from sagemaker_bidi.contract import terminations
from sagemaker_bidi.contract.endings import ABNORMAL, NO_STATUS, error_in_text_frame
from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.eventstream.messages import (
    MESSAGE_OVERHEAD,
    Decoder,
    EventStreamError,
    Limits,
    Message,
    TrailingBytes,
    TruncatedMessage,
    decode_message,
)
from sagemaker_bidi.contract.frames import (
    Frame,
    FramesToParts,
    InvalidPart,
    Opcode,
    PartsToFrames,
    part_from_message,
)
from sagemaker_bidi.contract.keepalive import Keepalive, Ping, Unanswered
from sagemaker_bidi.contract.outputs import (
    CloseContainer,
    Ending,
    EndStream,
    Output,
    Party,
    SendError,
    SendFrame,
    SendPart,
)
from sagemaker_bidi.contract.rate import Bucket
from sagemaker_bidi.contract.settings import ContractSettings
from sagemaker_bidi.contract.sigv4.chunks import ChunkChain, ChunkSignatureError, is_end
from sagemaker_bidi.contract.terminations import Termination


class Session:
    """The rules of one open stream (F1-F7, K1-K3, K5, E1-E7).

    Args:
        settings: the contract's numbers and choices.
        chain: verifies the client's signed chunks, seeded with the request's signature (W4).
        now: when the stream opened, seconds of the emulator's clock.
    """

    def __init__(self, settings: ContractSettings, chain: ChunkChain, now: float) -> None:
        self.ending: Ending | None = None
        self.parts_received = 0
        self.frames_sent = 0
        self.frames_received = 0
        self._settings = settings
        self._chain: ChunkChain | None = chain
        self._expires = now + settings.lifetime
        self._keepalive = Keepalive(
            now,
            interval=settings.ping_interval,
            limit=settings.missed_pongs,
            last_wait=settings.last_pong_wait,
        )
        self._idle_since = now
        rate = settings.events_per_second
        self._rate = Bucket(rate, max(1.0, rate), now) if rate < math.inf else None
        headers = settings.event_header_bytes
        self._limits = Limits(header_bytes=headers, payload_bytes=settings.event_bytes)
        event = MESSAGE_OVERHEAD + headers + settings.event_bytes
        self._decoder = Decoder(Limits(header_bytes=headers, payload_bytes=event))
        self._to_frames = PartsToFrames(
            reassemble=settings.reassemble, message_bytes=settings.frame_bytes
        )
        self._to_parts = FramesToParts()

    @property
    def unanswered_pings(self) -> int:
        """Pings in a row that the container has not answered (K1)."""
        return self._keepalive.unanswered

    def deadline(self) -> float | None:
        """When `receive_timeout` wants to be called; None once the session has ended."""
        if self.ending is not None:
            return None
        return min(self._keepalive.deadline(), self._expires, self._idle_until)

    @property
    def _idle_until(self) -> float:
        return self._idle_since + self._settings.idle_seconds

    # From the client.

    def receive_data(self, data: bytes, *, now: float, utc: float) -> list[Output]:
        """Bytes of the request's body.

        Args:
            data: any piece of the event stream.
            now: seconds of the emulator's clock.
            utc: seconds since the epoch, for the chunks' dates (W4).
        """
        outputs: list[Output] = []
        if self.ending is not None:
            return outputs
        try:
            self._decoder.receive_data(data)
            while self.ending is None and (message := self._decoder.next_message()) is not None:
                self._receive_chunk(message, now, utc, outputs)
        except (EventStreamError, ChunkSignatureError, InvalidPart) as error:
            self._refuse(error, outputs)
        return outputs

    def _receive_chunk(self, chunk: Message, now: float, utc: float, outputs: list[Output]) -> None:
        assert self._chain is not None
        payload = self._chain.verify(chunk, now=utc)
        if is_end(payload):
            self._half_close("closed its input", outputs)
            return
        if self._rate is not None and not self._rate.take(now):
            self._terminate(terminations.too_many_events(self._settings), outputs)
            return
        self._idle_since = now
        part = part_from_message(self._event(payload))
        frame = self._to_frames.frame(part)
        self.parts_received += 1
        if frame is not None:
            self.frames_sent += 1
            if frame.payload is not part.payload:
                # A message was reassembled: this part ends it and stands for all of it (F4).
                part = replace(part, payload=frame.payload)
            outputs.append(SendFrame(frame, part))

    def _event(self, payload: bytes) -> Message:
        try:
            return decode_message(payload, self._limits)
        except TruncatedMessage as error:
            raise InvalidPart("its signed message ends before the event inside it does") from error
        except TrailingBytes as error:
            raise InvalidPart(
                f"inside its signed message, {error}; one signed message carries one event (W4)"
            ) from error
        except EventStreamError as error:
            raise InvalidPart(f"inside its signed message, {error}") from error

    def resume_input(self, now: float) -> None:
        """The client is read again, after nobody did: the container was slow, say.

        What it sent meanwhile comes at once now, and is no burst of its own (K5).
        """
        if self._rate is not None:
            self._rate.save(now)

    def receive_end(self, now: float) -> list[Output]:
        """END_STREAM on the request."""
        outputs: list[Output] = []
        if self.ending is None:
            try:
                self._decoder.receive_end()
            except EventStreamError as error:
                self._refuse(error, outputs)
            else:
                self._half_close("ended its request without the signed end of W4", outputs)
        return outputs

    def receive_reset(self, why: str, *, by: Party = "client") -> list[Output]:
        """The client is gone: RST_STREAM, or its connection was lost.

        Args:
            why: what was seen, for the developer.
            by: whose doing it was; a fault of the emulator's can be the cause.
        """
        if self.ending is not None:
            return []
        self._end(Ending(by, "E3", why, gone=True))
        return [CloseContainer(1001, "client disconnected", discard=True)]

    def _half_close(self, what: str, outputs: list[Output]) -> None:
        # E3: the real service drops whatever is under way, in both directions, and says nothing.
        self._end(
            Ending(
                "client",
                "E3",
                f"the client {what}: the WebSocket is closed at once",
                hint="what was under way in either direction is lost then: close the input only "
                "after the last output that you need has arrived",
            )
        )
        outputs.append(CloseContainer(self._settings.half_close_code, discard=True))
        outputs.append(EndStream())

    def _refuse(
        self, error: EventStreamError | ChunkSignatureError | InvalidPart, outputs: list[Output]
    ) -> None:
        number = self.parts_received + 1
        self._terminate(terminations.invalid_input(self._settings, number, error), outputs)

    # From the container.

    def receive_frame(self, frame: Frame, now: float) -> list[Output]:
        """A frame of the container's, Close frames excepted."""
        outputs: list[Output] = []
        if self.ending is not None:
            return outputs
        match frame.opcode:
            case Opcode.PONG:
                self._keepalive.receive_pong(frame.payload)
            case Opcode.PING:
                # F5. The answer itself is the WebSocket layer's (RFC 6455 5.5.2).
                pass
            case _:
                self._idle_since = now
                self._receive_data_frame(frame, outputs)
        return outputs

    def _receive_data_frame(self, frame: Frame, outputs: list[Output]) -> None:
        self.frames_received += 1
        if self._settings.error_frames and frame.opcode is Opcode.TEXT and frame.fin:
            error = error_in_text_frame(frame.payload)
            if error is not None:
                self._end_with_error(
                    Ending("container", "E4", "the container sent a ModelStreamError frame", error),
                    CloseContainer(1000),
                    outputs,
                )
                return
        outputs.append(SendPart(self._to_parts.part(frame)))

    def receive_close(self, code: int, reason: str) -> list[Output]:
        """The container's WebSocket ended.

        Args:
            code: of its Close frame; 1005 where that had none, 1006 where there was no Close
                frame (E6).
            reason: of its Close frame.
        """
        outputs: list[Output] = []
        if self.ending is not None:
            return outputs
        error: StreamError | None
        if code == ABNORMAL:
            error = self._settings.connection_lost_error
            clause, what = "E6", f"the container's connection ended without a Close frame{reason}"
        else:
            error = self._settings.close_policy.error(code, reason)
            said = "no code" if code == NO_STATUS else str(code)
            clause = "E2" if error is None else "E1"
            what = f"received Close {said} ({reason or 'no reason'}) from the container"
        ending = Ending("container", clause, what, error)
        if error is None:
            self._end(ending)
            outputs.append(EndStream())
        else:
            self._end_with_error(ending, None, outputs)
        return outputs

    def receive_error(self, error: StreamError, why: str) -> list[Output]:
        """An endpoint that stands in for the container ended its stream with an error (E5).

        Args:
            error: as it told it.
            why: for the developer.
        """
        outputs: list[Output] = []
        if self.ending is None:
            self._end_with_error(Ending("container", "E5", why, error), None, outputs)
        return outputs

    def receive_metadata_end(self, code: int) -> list[Output]:
        """A required metadata stream is gone (M3).

        Args:
            code: as for `receive_close`.
        """
        outputs: list[Output] = []
        if self.ending is None:
            self._terminate(terminations.metadata_lost(self._settings, code), outputs)
        return outputs

    # From the clock and the operator.

    def receive_timeout(self, now: float, *, output_unread: bool = False) -> list[Output]:
        """Time has reached `deadline()`; ask that again afterwards.

        Args:
            now: seconds of the emulator's clock.
            output_unread: the client leaves its output unread, so that the container is not read
                either: a pong of its may wait behind what it has said.
        """
        outputs: list[Output] = []
        if self.ending is not None:
            return outputs
        if now >= self._expires:
            self._terminate(terminations.expired(self._settings), outputs)
            return outputs
        if now >= self._idle_until:
            self._terminate(terminations.idle(self._settings), outputs)
            return outputs
        match self._keepalive.receive_timeout(now):
            case Ping(payload):
                outputs.append(SendFrame(Frame(Opcode.PING, payload)))
            case Unanswered(pings):
                missed = terminations.missed_pongs(
                    self._settings, pings, output_unread=output_unread
                )
                self._terminate(missed, outputs)
        return outputs

    def end(self, error: StreamError | None, why: str) -> list[Output]:
        """A fault plan ends the session.

        Args:
            error: what the client is told (E5); None for a clean end (E2).
            why: for the developer.
        """
        outputs: list[Output] = []
        if self.ending is not None:
            return outputs
        close = CloseContainer(1001, "ended by a fault plan")
        if error is not None:
            self._end_with_error(Ending("emulator", "E5", why, error), close, outputs)
        else:
            self._end(Ending("emulator", "E2", why))
            outputs += [close, EndStream()]
        return outputs

    def shut_down(self) -> list[Output]:
        """The emulator stops and waits no longer for this session."""
        outputs: list[Output] = []
        if self.ending is None:
            self._terminate(terminations.shut_down(self._settings), outputs)
        return outputs

    def _end(self, ending: Ending) -> None:
        self.ending = ending
        # A session is remembered after its end, what it held of the client's input is not.
        self._chain = None
        self._decoder = Decoder()
        self._to_frames = PartsToFrames()

    def _terminate(self, termination: Termination, outputs: list[Output]) -> None:
        self._end_with_error(termination.ending, termination.close, outputs)

    def _end_with_error(
        self, ending: Ending, close: CloseContainer | None, outputs: list[Output]
    ) -> None:
        assert ending.error is not None
        self._end(ending)
        if close is not None:
            outputs.append(close)
        outputs.append(SendError(ending.error))
        outputs.append(EndStream(reset=self._settings.reset_after_error))
