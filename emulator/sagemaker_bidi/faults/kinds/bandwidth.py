"""`bandwidth`: what passes takes as long as its bytes do on a slow line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Item, Later, TappedSession, size_of


@fault
@dataclass(frozen=True)
class Bandwidth:
    """Lets payload bytes pass at a rate; time that the line stood idle is not made up for.

    Args:
        bytes_per_second: of the emulator's clock.
    """

    name: ClassVar[str] = "bandwidth"
    bytes_per_second: float

    def __post_init__(self) -> None:
        if not self.bytes_per_second > 0:
            raise ValueError(f"bytes_per_second must be more than 0, not {self.bytes_per_second}")

    async def apply(
        self, session: TappedSession, item: Item, scene: Scene
    ) -> Sequence[Item | Later]:
        begin = max(scene.at, scene.busy_until)
        scene.busy_until = begin + size_of(item) / self.bytes_per_second
        return (scene.later(item, scene.busy_until - scene.at),)
