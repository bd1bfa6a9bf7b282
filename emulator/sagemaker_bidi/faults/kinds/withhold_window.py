"""`withhold-window`: the client may send no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import TappedSession


@fault
@dataclass(frozen=True)
class WithholdWindow:
    """Credits the client's window no more (RFC 9113 5.2), until it has used it up and stalls."""

    name: ClassVar[str] = "withhold-window"

    async def act(self, session: TappedSession, scene: Scene) -> None:
        scene.keep_on(session.withhold_window)
