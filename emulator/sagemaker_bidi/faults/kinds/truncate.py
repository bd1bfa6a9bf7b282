"""`truncate`: the response ends inside a message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.contract.frames import Part, encode_part
from sagemaker_bidi.faults.fault import Kind, Scene, fault
from sagemaker_bidi.tap import Item, Point, Raw, TappedSession


@fault
@dataclass(frozen=True)
class Truncate:
    """Sends the beginning of a part's message (W3) and then END_STREAM.

    Args:
        bytes: how much of the message the client gets; the message is longer.
    """

    name: ClassVar[str] = "truncate"
    points: ClassVar[tuple[Point, ...]] = ("to-client",)
    kinds: ClassVar[tuple[Kind, ...]] = ("data", "any")
    bytes: int = 20

    def __post_init__(self) -> None:
        if self.bytes < 1:
            raise ValueError(f"bytes must be 1 or more, not {self.bytes}")

    async def apply(self, session: TappedSession, item: Item, scene: Scene) -> Sequence[Item]:
        if not isinstance(item, Part):
            return (item,)
        data = encode_part(item)
        session.send_to_client(Raw(data[: min(self.bytes, len(data) - 1)]))
        session.end(None, f"a fault plan cut a message of {len(data)} bytes short")
        return ()
