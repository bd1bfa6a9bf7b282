"""`tcp-reset`: the client's connection ends with a TCP reset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Attempt, TappedSession


@fault
@dataclass(frozen=True)
class TcpReset:
    """Resets the connection, with every stream on it."""

    name: ClassVar[str] = "tcp-reset"

    async def open(self, attempt: Attempt, scene: Scene) -> None:
        attempt.abort_client()

    async def act(self, session: TappedSession, scene: Scene) -> None:
        await session.flushed()
        session.abort_client()
