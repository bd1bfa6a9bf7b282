"""`ignore-pings`: the container's pings stay unanswered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import TappedSession


@fault
@dataclass(frozen=True)
class IgnorePings:
    """Sends no pong for what the container pings (F5); one that comes after removal is answered."""

    name: ClassVar[str] = "ignore-pings"

    async def act(self, session: TappedSession, scene: Scene) -> None:
        scene.keep_on(session.ignore_pings)
