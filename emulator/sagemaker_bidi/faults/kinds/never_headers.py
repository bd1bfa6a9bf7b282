"""`never-headers`: an invocation is not answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Attempt


@fault
@dataclass(frozen=True)
class NeverHeaders:
    """Keeps the client waiting for its response until the fault is removed, or it gives up."""

    name: ClassVar[str] = "never-headers"

    async def open(self, attempt: Attempt, scene: Scene) -> None:
        await scene.wait(None)
