"""`kill-container`: the container's connection is gone, without a Close frame (E6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import TappedSession


@fault
@dataclass(frozen=True)
class KillContainer:
    """Drops the connection to the container, as if it had died."""

    name: ClassVar[str] = "kill-container"

    async def act(self, session: TappedSession, scene: Scene) -> None:
        session.abort_container()
