"""`drop`: what should pass does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Item, TappedSession


@fault
@dataclass(frozen=True)
class Drop:
    """Loses each item. With `kind = "pong"` from the container: pings that stay unanswered (K1)."""

    name: ClassVar[str] = "drop"

    async def apply(self, session: TappedSession, item: Item, scene: Scene) -> Sequence[Item]:
        return ()
