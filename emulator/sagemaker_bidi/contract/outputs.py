"""What a session wants done, in order, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.frames import Frame, Part

type Party = Literal["client", "container", "emulator"]


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Send a frame to the container.

    Args:
        part: what the client sent that this carries; None for a ping.
    """

    frame: Frame
    part: Part | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SendPart:
    """Send a part to the client."""

    part: Part


@dataclass(frozen=True, slots=True)
class SendError:
    """Send an error to the client, inside the stream (E5)."""

    error: StreamError


@dataclass(frozen=True, slots=True)
class CloseContainer:
    """Close the container's WebSocket.

    Args:
        code: RFC 6455 7.4.
        reason: for the Close frame.
        discard: drop what has not been delivered yet (E3).
    """

    code: int
    reason: str = ""
    discard: bool = False


@dataclass(frozen=True, slots=True)
class EndStream:
    """End the response: END_STREAM, or RST_STREAM where `reset` (E7)."""

    reset: bool = False


type Output = SendFrame | SendPart | SendError | CloseContainer | EndStream


@dataclass(frozen=True, slots=True)
class Ending:
    """How and why a session ended.

    Args:
        by: whose doing it was.
        clause: the rule that was followed.
        why: for the developer: what was received, what was sent.
        error: what the client was told; None for a clean end.
        hint: what to do about it, where there is something to do.
        gone: whether the client was gone by then, and was told nothing.
    """

    by: Party
    clause: str
    why: str
    error: StreamError | None = None
    hint: str = ""
    gone: bool = False
