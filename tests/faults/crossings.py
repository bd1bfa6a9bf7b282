"""Items that cross the border, by their payloads."""

from __future__ import annotations

from collections.abc import Sequence

from sagemaker_bidi.contract.errors import service_unavailable
from sagemaker_bidi.contract.frames import Frame, Part
from sagemaker_bidi.faults.kinds.refuse import Refuse
from sagemaker_bidi.tap import Item
from tests.faults.stage import Stage, part

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
