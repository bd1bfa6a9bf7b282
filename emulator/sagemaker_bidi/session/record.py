"""What is known of a session, while it runs and after it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from sagemaker_bidi.contract.frames import Part
from sagemaker_bidi.contract.outputs import Ending
from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.session.account import Way
from sagemaker_bidi.session.kept import Parts
from sagemaker_bidi.session.live import LiveSession
from sagemaker_bidi.shown import logger_named

logger = logger_named("bidi.session")


@dataclass(frozen=True, slots=True)
class Loss:
    """Messages that were accepted from one side and never reached the other.

    Args:
        way: `input` was on its way to the container, `output` to the client.
        why: what became of them.
    """

    way: Literal["input", "output"]
    why: str
    messages: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What is kept of a session that is over; its buffers and sockets are not."""

    ending: Ending | None
    parts_received: int
    frames_received: int
    frames_sent: int
    unanswered_pings: int


class SessionRecord:
    """What is known of a session, while it runs and after it.

    Args:
        live: the session.
        parts: what is kept of its parts.
    """

    def __init__(self, live: LiveSession, parts: Parts) -> None:
        self.id = live.id
        self.endpoint = live.endpoint
        self.variant = live.variant
        self.opened_at = live.opened_at
        self.closed_at: float | None = None
        self.account = live.account
        self._parts = parts
        self._live: LiveSession | None = live
        self._session: Session | _Numbers = live.session
        self._metering: dict[str, float] = {}
        self._over: Future[None] = Future()

    def __repr__(self) -> str:
        state = "open" if self.ending is None else f"closed by {self.closed_by}"
        return f"<SessionRecord {self.id} {self.endpoint}/{self.variant} {state}>"

    def close(self, at: float) -> None:
        """The session is over: keep its numbers and let go of it.

        Args:
            at: seconds of the emulator's clock.
        """
        self.closed_at = at
        self._metering = self.metering
        self._live = None
        self._session = _Numbers(
            self.ending,
            self.parts_received,
            self.frames_received,
            self.frames_sent,
            self.unanswered_pings,
        )

    def wake(self) -> None:
        """All that tells of the end has been told: who waits for it goes on."""
        self._over.set_result(None)

    async def wait_closed(self) -> None:
        """Wait, in any event loop, until the session is over, the container's side too."""
        await asyncio.shield(asyncio.wrap_future(self._over))

    def join(self, seconds: float = 10.0) -> None:
        """Wait, on another thread than the emulator's, until the session is over.

        Raises:
            TimeoutError: it is still open after so many seconds.
        """
        try:
            self._over.result(seconds)
        except TimeoutError:
            raise TimeoutError(f"{self!r} is still open after {seconds:g} s") from None

    @property
    def received(self) -> list[Part]:
        """The parts that the client sent; the latest, see `keep_bytes` of `Emulator`."""
        return list(self._parts.received)

    @property
    def sent(self) -> list[Part]:
        """The parts that the client was sent, as the faults in force left them; the latest."""
        return list(self._parts.sent)

    @property
    def lost(self) -> list[Loss]:
        """What was accepted from one side and never reached the other, and why."""
        ways: list[tuple[Literal["input", "output"], Way]] = [
            ("input", self.account.input),
            ("output", self.account.output),
        ]
        return [
            Loss(name, why, tally.messages, tally.payload_bytes)
            for name, way in ways
            for why, tally in list(way.lost.items())
        ]

    @property
    def open(self) -> bool:
        """Whether the session still runs."""
        return self.closed_at is None

    @property
    def ending(self) -> Ending | None:
        """How and why it ended; None while it runs."""
        return self._session.ending

    @property
    def closed_by(self) -> str | None:
        """`client`, `container` or `emulator`; None while it runs."""
        return None if self.ending is None else self.ending.by

    @property
    def parts_received(self) -> int:
        """Parts that the client sent."""
        return self._session.parts_received

    @property
    def parts_sent(self) -> int:
        """Parts that the client was sent, as the faults in force left them."""
        return self.account.output.delivered.messages

    @property
    def frames_received(self) -> int:
        """Data frames that the container sent."""
        return self._session.frames_received

    @property
    def frames_sent(self) -> int:
        """Data frames for the container, those that never left included."""
        return self._session.frames_sent

    @property
    def unanswered_pings(self) -> int:
        """Pings in a row that the container has not answered."""
        return self._session.unanswered_pings

    @property
    def metering(self) -> dict[str, float]:
        """Units that the container reported on its metadata stream, by dimension (M2)."""
        return self._metering if self._live is None else self._live.metering

    @property
    def frames_discarded(self) -> int:
        """Frames from the client that never reached the container."""
        return self.account.input.lost_messages

    @property
    def frames_after_close(self) -> int:
        """Frames of the container's that never reached the client."""
        return self.account.output.lost_messages


def log_end(record: SessionRecord) -> None:
    """Tell the developer how a session ended, whose doing it was and what was lost."""
    ending = record.ending
    if ending is None:
        return
    lost = []
    if record.frames_discarded:
        lost.append(f"{record.frames_discarded} frames of input")
    if record.frames_after_close:
        lost.append(f"{record.frames_after_close} frames of output")
    told = "nothing, it was gone" if ending.gone else "end of stream"
    if ending.error is not None:
        told = f"{ending.error.event} {ending.error.code}".strip()
    logger.log(
        logging.WARNING if lost or ending.error is not None else logging.INFO,
        "%s: ended by the %s (%s): %s; the client was sent: %s; %d parts in, %d frames out, "
        "%d frames back, %d parts sent%s%s",
        record.id,
        ending.by,
        ending.clause,
        ending.why,
        told,
        record.parts_received,
        record.frames_sent,
        record.frames_received,
        record.parts_sent,
        f"; lost: {' and '.join(lost)}" if lost else "",
        f"; hint: {ending.hint}" if ending.hint and (lost or ending.error) else "",
    )
