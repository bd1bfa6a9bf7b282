"""`replace`: something else passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from sagemaker_bidi.contract.frames import UTF8, Frame, Opcode, Part
from sagemaker_bidi.faults.fault import Kind, Scene, fault
from sagemaker_bidi.faults.payload import check_payload, payload_of
from sagemaker_bidi.tap import Item, TappedSession


@fault
@dataclass(frozen=True)
class Replace:
    """Changes the payload of each part or data frame, its type, or both.

    Args:
        text: the new payload.
        base64: the same for any bytes.
        data_type: UTF8 or BINARY, for a frame text or binary (F2); a continuation frame has none.
    """

    name: ClassVar[str] = "replace"
    kinds: ClassVar[tuple[Kind, ...]] = ("data", "any")
    text: str | None = None
    base64: str | None = None
    data_type: Literal["UTF8", "BINARY"] | None = None

    def __post_init__(self) -> None:
        check_payload(self.text, self.base64)
        if self.text is None and self.base64 is None and self.data_type is None:
            raise ValueError("give text, base64 or data_type: there is nothing to replace")

    async def apply(self, session: TappedSession, item: Item, scene: Scene) -> Sequence[Item]:
        payload = payload_of(self.text, self.base64)
        match item:
            case Part():
                kept = item.payload if payload is None else payload
                return (
                    dataclasses.replace(
                        item, payload=kept, data_type=self.data_type or item.data_type
                    ),
                )
            case Frame(opcode=Opcode.TEXT | Opcode.BINARY | Opcode.CONT as opcode):
                if self.data_type is not None and opcode is not Opcode.CONT:
                    opcode = Opcode.TEXT if self.data_type == UTF8 else Opcode.BINARY
                kept = item.payload if payload is None else payload
                return (Frame(opcode, kept, item.fin),)
            case _:
                return (item,)
