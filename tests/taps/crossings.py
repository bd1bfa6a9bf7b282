"""Items that cross the border, by their payloads."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.contract.errors import service_unavailable
from emulator.contract.frames import Frame, Part
from emulator.taps.faults.refuse import Refuse
from emulator.taps.tap import Item
from tests.taps.stage import Stage, part

REFUSE = Refuse(400, "ThrottlingException", "Rate exceeded")
REFUSE_REFUSAL = service_unavailable("", "")


async def numbered(stage: Stage, count: int, session: str = "s") -> list[str]:
    """Send parts "0", "1", …; gives the payloads that crossed."""
    crossed: list[str] = []
    for number in range(count):
        crossed += payloads(await stage.send(part(str(number)), session=session))
    return crossed


def payloads(items: Sequence[Item]) -> list[str]:
    return [item.payload.decode() for item in items if isinstance(item, Part | Frame)]
