"""What may look at a session: the observer seam, and the default observer that logs."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

Side = Literal["sagemaker", "vllm"]
Kind = Literal["text", "binary"]

logger = logging.getLogger("bridge.session")


@dataclass(frozen=True, slots=True)
class SideEnd:
    """How one side's connection ended.

    Args:
        how: the Close frame was `received` or `sent` first; `closed` where that is not known;
            `lost` without a Close frame; `cut` by the bridge because the peer did not answer one.
        code: status code of the Close frame (RFC 6455, 7.4), or None where there was none.
        reason: reason of the Close frame, or what is known about the loss.
    """

    how: Literal["received", "sent", "closed", "lost", "cut"]
    code: int | None
    reason: str

    def __str__(self) -> str:
        code = "" if self.code is None else f" {self.code}"
        return f"{self.how}{code} ({self.reason or 'no reason'})"


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """The end of a session, as both sides saw it.

    Args:
        ended_by: who ended it first.
        failed: whether the session ended otherwise than by a normal close.
        sagemaker: how SageMaker's connection ended.
        vllm: how vLLM's connection ended.
        path: path of the session's request, without the query.
        peer: address of SageMaker's side.
        duration_seconds: from the upgrade request to the end of both connections.
    """

    ended_by: Literal["sagemaker", "vllm", "bridge"]
    failed: bool
    sagemaker: SideEnd
    vllm: SideEnd
    path: str
    peer: str
    duration_seconds: float


class SessionObserver(Protocol):
    """Is told of every message of one session, never of its content.

    Each method is called in the event loop at the moment it names and must not block: `received`
    when a whole message has been read from a side, `sent` when it has been handed to the other.
    """

    def received(self, side: Side, size_bytes: int, kind: Kind) -> None: ...

    def sent(self, side: Side, size_bytes: int, kind: Kind) -> None: ...

    def ended(self, end: SessionEnd) -> None: ...


Observe = Callable[[str], SessionObserver]
"""Makes the observer of a session from the session's id."""


@dataclass(slots=True)
class SessionLog:
    """Counts messages and bytes, and writes one log line when the session ends.

    Args:
        session_id: the id in the line.
    """

    session_id: str
    counts: dict[Side, list[int]] = field(
        default_factory=lambda: {"sagemaker": [0, 0], "vllm": [0, 0]}
    )

    def received(self, side: Side, size_bytes: int, kind: Kind) -> None:
        """What was received but could not be passed on is not counted."""

    def sent(self, side: Side, size_bytes: int, kind: Kind) -> None:
        """Count one message that was passed on to a side."""
        count = self.counts[side]
        count[0] += 1
        count[1] += size_bytes

    def ended(self, end: SessionEnd) -> None:
        """Write the line: a warning where the session failed."""
        to_vllm, to_sagemaker = self.counts["vllm"], self.counts["sagemaker"]
        logger.log(
            logging.WARNING if end.failed else logging.INFO,
            "session ended %s",
            key_values(
                id=self.session_id,
                path=end.path,
                peer=end.peer,
                duration_s=f"{end.duration_seconds:.3f}",
                messages_to_vllm=to_vllm[0],
                bytes_to_vllm=to_vllm[1],
                messages_to_sagemaker=to_sagemaker[0],
                bytes_to_sagemaker=to_sagemaker[1],
                ended_by=end.ended_by,
                vllm=end.vllm,
                sagemaker=end.sagemaker,
            ),
        )


@dataclass(frozen=True, slots=True)
class Fields:
    """What a log line tells beside its words: `key=value` pairs as text, members as JSON."""

    values: dict[str, object]

    def __str__(self) -> str:
        return " ".join(f"{key}={_quoted(str(value))}" for key, value in self.values.items())


def key_values(**values: object) -> Fields:
    """Fields for a log line; in text a value with spaces or quotes is quoted as JSON."""
    return Fields(values)


def _quoted(text: str) -> str:
    plain = text.isprintable() and text and not any(mark in text for mark in ' ="')
    return text if plain else json.dumps(text)
