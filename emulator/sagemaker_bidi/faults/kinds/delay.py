"""`delay`: what passes comes later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Item, Later, TappedSession


@fault
@dataclass(frozen=True)
class Delay:
    """Makes each item late, as a long line does: what is sent at a rate arrives at that rate.

    Nothing overtakes: an item also waits for those before it.

    Args:
        seconds: of the emulator's clock.
        jitter: seconds more or less, drawn evenly.
    """

    name: ClassVar[str] = "delay"
    seconds: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not (self.seconds >= 0 and self.jitter >= 0):
            raise ValueError("seconds and jitter must be 0 or more")

    async def apply(
        self, session: TappedSession, item: Item, scene: Scene
    ) -> Sequence[Item | Later]:
        late = self.seconds + scene.random.uniform(-self.jitter, self.jitter)
        return (scene.later(item, max(0.0, late)),)
