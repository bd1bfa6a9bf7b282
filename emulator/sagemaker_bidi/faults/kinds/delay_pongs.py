"""`delay-pongs`: the container's answers to pings come late (K1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.faults.fault import Kind, Scene, fault
from sagemaker_bidi.tap import Item, Point, TappedSession


@fault
@dataclass(frozen=True)
class DelayPongs:
    """Holds pongs back and lets all else pass; a rule for it has `kind = "pong"`.

    Args:
        seconds: of the emulator's clock.
    """

    name: ClassVar[str] = "delay-pongs"
    points: ClassVar[tuple[Point, ...]] = ("from-container",)
    kinds: ClassVar[tuple[Kind, ...]] = ("pong", "any")
    seconds: float

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ValueError(f"seconds must be 0 or more, not {self.seconds}")

    async def apply(self, session: TappedSession, item: Item, scene: Scene) -> Sequence[Item]:
        if not isinstance(item, Frame) or item.opcode is not Opcode.PONG:
            return (item,)
        pong = item

        async def later() -> None:
            await scene.wait(self.seconds)
            session.receive_pong(pong)

        scene.spawn(later())
        return ()
