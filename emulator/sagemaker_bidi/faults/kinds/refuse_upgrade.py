"""`refuse-upgrade`: the container refuses the WebSocket (O4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.contract.errors import Refused, model_error
from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Attempt


@fault
@dataclass(frozen=True)
class RefuseUpgrade:
    """Answers 424 `ModelError`, without asking the container.

    Args:
        seconds: of the emulator's clock before the answer.
        container: the container's name in the error.
    """

    name: ClassVar[str] = "refuse-upgrade"
    seconds: float = 0.0
    container: str = "primary"

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ValueError(f"seconds must be 0 or more, not {self.seconds}")

    async def open(self, attempt: Attempt, scene: Scene) -> None:
        if await scene.wait(self.seconds):
            raise Refused(model_error(self.container, "a fault plan refuses the WebSocket"))
