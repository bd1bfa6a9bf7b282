"""The tap that writes each session to a file of its own.

It writes what the client sent and was sent, part for part, and what passed between emulator and
container beside it: control frames and Close frames. Signatures, headers and metadata streams
never come by here; query values that look like secrets are left out.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from sagemaker_bidi.clock import Clock, ScaledClock
from sagemaker_bidi.contract.errors import Refusal, StreamError
from sagemaker_bidi.contract.frames import UTF8, Frame, Opcode, Part
from sagemaker_bidi.contract.outputs import CloseContainer, Ending
from sagemaker_bidi.recordings.files import SUFFIX, Writer
from sagemaker_bidi.recordings.format import (
    Control,
    End,
    ErrorEvent,
    Event,
    Header,
    Opening,
    PartEvent,
    Sender,
    carried,
)
from sagemaker_bidi.recordings.redaction import hide_secrets, made_with, without_machine
from sagemaker_bidi.recordings.retention import Retention
from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.tap import Attempt, Passage, Raw, Side, Tap, TappedSession

logger = logger_named("bidi.recorder")

REMEMBERED_FILES = 1000

_AWS = re.compile(r"https://[^/]+\.amazonaws\.com(?:\.cn)?[:/]")


@dataclass(eq=False)
class _Session:
    writer: Writer
    opened_at: float
    upstream: bool = False


class Recorder(Tap):
    """Records every session: `Emulator(…, taps=[Recorder(folder, header=…)])`.

    A file that cannot be written is given up with a line in the log; its session goes on.

    Args:
        directory: where the files go; made where it is missing.
        header: what is known of the target; the rest is filled in for each session.
        redact: leave payloads out, and keep their sizes and types.
        keep_days: recordings of this folder that are older go when a session opens; all stay
            unless given.
    """

    def __init__(
        self,
        directory: Path,
        *,
        header: Header,
        redact: bool = False,
        keep_days: float | None = None,
    ) -> None:
        self.directory = directory
        self.written: deque[Path] = deque(maxlen=REMEMBERED_FILES)
        self._header = header
        self._redact = redact
        self._retention = None if keep_days is None else Retention(directory, keep_days)
        self._asked: dict[str, Header] = {}
        self._open: dict[str, _Session] = {}

    async def opening(self, attempt: Attempt) -> None:
        if self._retention is not None:
            self._retention.apply(attempt.clock.utc())
        self._asked[attempt.id] = self._header_of(attempt)

    def opened(self, session: TappedSession) -> None:
        header = self._asked.pop(session.id, None) or self._header_of(session)
        if self._begin(session.id, header, session.opened_at):
            self._open[session.id].upstream = session.target.startswith("https:")
            self._write(session.id, Opening(ms=0, sender="emulator", type="accepted", status=200))

    def refused(self, session_id: str, refusal: Refusal, at: float) -> None:
        header = self._asked.pop(session_id, None)
        if header is None or not self._begin(session_id, header, at):
            # It was refused before it was anybody's: a wrong signature, an unknown endpoint.
            return
        # AWS puts what was signed into the message of a signature that does not hold.
        text = "" if refusal.status == 403 else self._shown(refusal.message)
        self._write(
            session_id,
            Opening(ms=0, sender="emulator", type=refusal.type, status=refusal.status, text=text),
        )
        self._finish(
            session_id,
            End(ms=0, sender="emulator", type="refused", clause=refusal.clause),
        )

    def abandoned(self, session_id: str, why: str, at: float) -> None:
        # Nothing has passed that could be recorded.
        self._asked.pop(session_id, None)

    def passed(self, session_id: str, passage: Passage) -> None:
        session = self._open.get(session_id)
        if session is None:
            return
        if session.upstream and passage.side == "container":
            # There is no WebSocket: what looks like one stays inside this process.
            return
        event = self._event(_milliseconds(passage.at - session.opened_at), passage)
        if event is not None:
            self._write(session_id, event)

    def ended(self, session_id: str, ending: Ending | None, at: float) -> None:
        session = self._open.get(session_id)
        if session is None:
            return
        ms = _milliseconds(at - session.opened_at)
        if ending is None:
            end = End(ms=ms, sender="emulator", type="failed")
        else:
            end = End(
                ms=ms,
                sender=ending.by,
                type="clean" if ending.error is None else "error",
                clause=ending.clause,
            )
        self._finish(session_id, end)

    def _header_of(self, attempt: Attempt) -> Header:
        path, hidden = hide_secrets(attempt.container_path)
        real = _AWS.match(attempt.target) is not None
        left_out = [*self._header.redacted]
        left_out += ["payloads"] if self._redact else []
        left_out += ["query"] if hidden else []
        return dataclasses.replace(
            self._header,
            provenance="real service" if real else self._header.provenance,
            made_with=self._header.made_with or made_with(),
            target=self._header.target or attempt.target,
            endpoint=attempt.endpoint,
            variant=attempt.variant,
            path=path,
            sdk=without_machine(attempt.user_agent),
            session=attempt.id,
            recorded=_utc(attempt.clock).isoformat(timespec="milliseconds") + "Z",
            time_scale=attempt.clock.scale if isinstance(attempt.clock, ScaledClock) else 1.0,
            redacted=tuple(dict.fromkeys(left_out)),
        )

    def _begin(self, session_id: str, header: Header, at: float) -> bool:
        stamp = re.sub(r"\W", "", header.recorded)
        path = self.directory / f"{header.endpoint}-{stamp}-{session_id[:8]}{SUFFIX}"
        try:
            self._open[session_id] = _Session(Writer(path, header), at)
        except OSError as error:
            logger.error("%s: is not recorded: %s: %s", session_id, path, error.strerror)
            return False
        return True

    def _event(self, ms: float, passage: Passage) -> Event | None:
        match passage.side, passage.item:
            case "client", Part() as part:
                sender: Side = "client" if passage.direction == "received" else "container"
                return _part(ms, sender, part, redact=self._redact)
            case "client", Raw(data):
                fields = carried(data, textual=False, redact=self._redact)
                return PartEvent(ms=ms, sender="emulator", type="RAW", **fields)
            case "client", StreamError(event, code, message):
                return ErrorEvent(
                    ms=ms, sender="emulator", type=event, code=code, text=self._shown(message)
                )
            case _, CloseContainer(code, reason):
                text = self._shown(reason)
                return Control(ms=ms, sender=_by(passage), type="CLOSE", code=code, text=text)
            case _, Frame(Opcode.PING | Opcode.PONG as opcode, payload):
                return Control(
                    ms=ms,
                    sender=_by(passage),
                    type="PING" if opcode is Opcode.PING else "PONG",
                    base64="" if self._redact else base64.b64encode(payload).decode(),
                )
            case _:
                # A data frame is its part once more (F1).
                return None

    def _shown(self, text: str) -> str:
        # A container may quote what it heard.
        return "" if self._redact else text

    def _write(self, session_id: str, event: Event) -> None:
        session = self._open.get(session_id)
        if session is None:
            return
        try:
            session.writer.write(event)
        except OSError as error:
            self._give_up(session_id, error)

    def _finish(self, session_id: str, end: End) -> None:
        self._write(session_id, end)
        session = self._open.pop(session_id, None)
        if session is None:
            return
        try:
            session.writer.finish()
        except OSError as error:
            self._open[session_id] = session
            self._give_up(session_id, error)
            return
        self.written.append(session.writer.path)
        logger.info("%s: recorded: %s", session_id, session.writer.path)

    def _give_up(self, session_id: str, error: OSError) -> None:
        writer = self._open.pop(session_id).writer
        logger.error("%s: is not recorded: %s: %s", session_id, writer.path, error.strerror)
        try:
            writer.discard()
        except OSError as again:
            logger.error("%s: cannot be removed: %s", writer.path, again.strerror)


def _part(ms: float, sender: Side, part: Part, *, redact: bool) -> PartEvent:
    fields = carried(part.payload, textual=part.data_type == UTF8, redact=redact)
    data_type = cast(Literal["UTF8", "BINARY"] | None, part.data_type)
    state = cast(Literal["PARTIAL", "COMPLETE"] | None, part.completion_state)
    return PartEvent(ms=ms, sender=sender, type=data_type, state=state, **fields)


def _by(passage: Passage) -> Sender:
    return "container" if passage.direction == "received" else "emulator"


def _milliseconds(seconds: float) -> float:
    return max(0.0, round(seconds * 1000, 3))


def _utc(clock: Clock) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(clock.utc(), datetime.UTC).replace(tzinfo=None)
