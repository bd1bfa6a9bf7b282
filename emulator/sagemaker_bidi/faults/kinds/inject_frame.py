"""`inject-frame`: the container is sent a frame that the client never sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sagemaker_bidi.contract.frames import UTF8, Frame, Opcode
from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.faults.payload import check_payload, payload_of
from sagemaker_bidi.tap import TappedSession


@fault
@dataclass(frozen=True)
class InjectFrame:
    """Adds a data frame for the container, be it in the middle of a fragmented message.

    Args:
        text: the payload.
        base64: the same for any bytes.
        data_type: UTF8 makes a text frame, BINARY a binary one (F2).
    """

    name: ClassVar[str] = "inject-frame"
    text: str | None = None
    base64: str | None = None
    data_type: Literal["UTF8", "BINARY"] = "UTF8"

    def __post_init__(self) -> None:
        check_payload(self.text, self.base64)

    async def act(self, session: TappedSession, scene: Scene) -> None:
        opcode = Opcode.TEXT if self.data_type == UTF8 else Opcode.BINARY
        session.send_to_container(Frame(opcode, payload_of(self.text, self.base64) or b""))
