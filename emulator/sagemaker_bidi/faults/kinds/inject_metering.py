"""`inject-metering`: the container reports usage that it never did (M2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.contract.metadata import MESSAGE_SECONDS
from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import TappedSession


@fault
@dataclass(frozen=True)
class InjectMetering:
    """Takes metering frames as if they had come on the container's metadata stream.

    A session whose container offers no such stream takes them too.

    Args:
        dimension: what is counted; at most 128 characters are valid.
        units: how much of it; more than 0 is valid.
        token: ClientToken; at most 64 characters are valid.
        padding: bytes by which the frame is made longer; 512 in all are valid.
        copies: how many such frames, a second of real time apart.
    """

    name: ClassVar[str] = "inject-metering"
    dimension: str
    units: float = 1.0
    token: str = "injected"
    padding: int = 0
    copies: int = 1

    def __post_init__(self) -> None:
        if self.copies < 1 or self.padding < 0:
            raise ValueError("copies must be 1 or more, and padding 0 or more")

    async def act(self, session: TappedSession, scene: Scene) -> None:
        scene.spawn(self._report(session))

    async def _report(self, session: TappedSession) -> None:
        metering = {
            "Dimension": self.dimension,
            "ConsumedUnits": self.units,
            "ClientToken": self.token,
        }
        text = json.dumps({"Metering": metering}) + " " * self.padding
        clock = session.clock.unscaled
        for copy in range(self.copies):
            if copy:
                await clock.sleep_until(clock.now() + MESSAGE_SECONDS)
            session.receive_metering(Frame(Opcode.TEXT, text.encode()))
