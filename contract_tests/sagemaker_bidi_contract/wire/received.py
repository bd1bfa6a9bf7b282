"""What a connection brings: whole messages, and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended.

    Args:
        code: the peer's Close code, 1005 for a Close without one, None for no Close frame (1006).
        reason: the Close frame's.
        how: in words.
        broken: whether it is a frame that breaks RFC 6455.
    """

    code: int | None
    reason: str
    how: str
    broken: bool = False

    @property
    def abnormal(self) -> bool:
        """Whether there was no Close frame (RFC 6455, 7.1.5: 1006)."""
        return self.code is None


@dataclass(frozen=True, slots=True)
class Message:
    """A data message with its fragments joined.

    Args:
        kind: of its first frame.
        data: all bytes.
        frames: how many frames it came in.
    """

    kind: Literal["text", "binary"]
    data: bytes
    frames: int = 1
