"""`stop-reading`: the container is not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import TappedSession


@fault
@dataclass(frozen=True)
class StopReading:
    """Leaves what the container sends in its socket until TCP stops it; on removal it comes."""

    name: ClassVar[str] = "stop-reading"

    async def act(self, session: TappedSession, scene: Scene) -> None:
        scene.keep_on(session.stop_reading_container)
