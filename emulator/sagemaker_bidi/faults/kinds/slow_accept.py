"""`slow-accept`: the container takes its time to accept the WebSocket (O3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.contract.errors import Refused, model_error
from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Attempt


@fault
@dataclass(frozen=True)
class SlowAccept:
    """Adds to the time that the container takes; with more than it is allowed the client gets 424.

    Args:
        seconds: of the emulator's clock.
        allowed: seconds that a container has (O3).
        container: the container's name in the error.
    """

    name: ClassVar[str] = "slow-accept"
    seconds: float
    allowed: float = 0.25
    container: str = "primary"

    def __post_init__(self) -> None:
        if not (self.seconds >= 0 and self.allowed >= 0):
            raise ValueError("seconds and allowed must be 0 or more")

    async def open(self, attempt: Attempt, scene: Scene) -> None:
        if await scene.wait(min(self.seconds, self.allowed)) and self.seconds > self.allowed:
            reason = f"a fault plan lets the container take {self.seconds:g} s to accept (O3)"
            raise Refused(model_error(self.container, reason))
