"""`hold`: nothing passes until the fault is removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Item, Later, TappedSession


@fault
@dataclass(frozen=True)
class Hold:
    """Stalls this way: the item and all behind it wait, and pass on removal."""

    name: ClassVar[str] = "hold"

    async def apply(
        self, session: TappedSession, item: Item, scene: Scene
    ) -> Sequence[Item | Later]:
        return (scene.later(item, None),)
