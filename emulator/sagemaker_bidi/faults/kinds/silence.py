"""`silence`: a network that swallows the client's packets, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Attempt, TappedSession


@fault
@dataclass(frozen=True)
class Silence:
    """Neither reads nor writes the client's connection; on removal all that waits goes through."""

    name: ClassVar[str] = "silence"

    async def open(self, attempt: Attempt, scene: Scene) -> None:
        attempt.silence_client(scene.removal.removed)

    async def act(self, session: TappedSession, scene: Scene) -> None:
        session.silence_client(scene.removal.removed)
