"""`close-container`: the container closes its WebSocket (E1, E2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import TappedSession


@fault
@dataclass(frozen=True)
class CloseContainer:
    """Goes on as if a Close frame had come from the container; its socket is closed.

    Args:
        code: RFC 6455 7.4.1; 1005 for a Close frame without a code, 1006 for none at all.
        reason: at most 123 bytes.
    """

    name: ClassVar[str] = "close-container"
    code: int = 1000
    reason: str = ""

    def __post_init__(self) -> None:
        if not 1000 <= self.code <= 4999:
            raise ValueError(f"code must be from 1000 to 4999, not {self.code}")
        if len(self.reason.encode()) > 123:
            raise ValueError("reason has more than the 123 bytes of RFC 6455 5.5")

    async def act(self, session: TappedSession, scene: Scene) -> None:
        session.container_closed(self.code, self.reason)
