"""What clients sent and were sent, kept for whoever asks afterwards: the latest, and no more."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from sagemaker_bidi.contract.frames import Part
from sagemaker_bidi.contract.outputs import Ending
from sagemaker_bidi.tap import Passage, Tap

KEEP_BYTES = 16 * 1024 * 1024
# What a part takes beside its payload, so that empty ones are no way around the limit.
PART_BYTES = 128


@dataclass(frozen=True, slots=True)
class Parts:
    """A session's parts, oldest first, as its client sent and received them."""

    received: deque[Part] = field(default_factory=deque)
    sent: deque[Part] = field(default_factory=deque)


class Kept(Tap):
    """Keeps parts, of all sessions together up to a limit; the oldest go first.

    Args:
        limit: in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._open: dict[str, Parts] = {}
        # Where the oldest part stands, and so on.
        self._order: deque[deque[Part]] = deque()

    def begin(self, session_id: str) -> Parts:
        """Keep a session's parts from now on."""
        parts = Parts()
        if self._limit:
            self._open[session_id] = parts
        return parts

    def passed(self, session_id: str, passage: Passage) -> None:
        part = passage.item
        if passage.side != "client" or not isinstance(part, Part):
            return
        parts = self._open.get(session_id)
        if parts is None:
            return
        kept = parts.received if passage.direction == "received" else parts.sent
        kept.append(part)
        self._order.append(kept)
        self._size += PART_BYTES + len(part.payload)
        while self._size > self._limit:
            oldest = self._order.popleft().popleft()
            self._size -= PART_BYTES + len(oldest.payload)

    def ended(self, session_id: str, ending: Ending | None, at: float) -> None:
        self._open.pop(session_id, None)
