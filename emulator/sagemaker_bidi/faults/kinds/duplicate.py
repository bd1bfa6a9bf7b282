"""`duplicate`: what passes comes more than once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Item, TappedSession

MOST_COPIES = 100


@fault
@dataclass(frozen=True)
class Duplicate:
    """Lets each item pass again, at once.

    Args:
        copies: how many more there are of it, at most 100: they are all queued at once, whatever
            room the session has.
    """

    name: ClassVar[str] = "duplicate"
    copies: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.copies <= MOST_COPIES:
            raise ValueError(f"copies must be from 1 to {MOST_COPIES}, not {self.copies}")

    async def apply(self, session: TappedSession, item: Item, scene: Scene) -> Sequence[Item]:
        return (item,) * (1 + self.copies)
