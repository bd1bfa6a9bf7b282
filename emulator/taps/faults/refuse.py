"""`refuse`: an invocation is refused before its stream opens (O4-O7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from emulator.contract.errors import Refusal, Refused
from emulator.taps.faults.fault import Scene, fault
from emulator.taps.tap import Attempt


@fault
@dataclass(frozen=True)
class Refuse:
    """Answers with an HTTP error.

    Args:
        status: HTTP status.
        type: the error's name, as in `x-amzn-errortype`.
        message: what the client is told.
        clause: the rule that it follows.
        error_code: `ErrorCode` of the body, where the error has one.
        after: seconds of the emulator's clock before the answer.
    """

    name: ClassVar[str] = "refuse"
    status: int
    type: str
    message: str
    clause: str = "O7"
    error_code: str = ""
    after: float = 0.0

    async def open(self, attempt: Attempt, scene: Scene) -> None:
        if not await scene.wait(self.after):
            return
        fields: tuple[tuple[str, str | int], ...] = ()
        if self.error_code:
            fields = (("ErrorCode", self.error_code),)
        raise Refused(
            Refusal(
                self.status,
                self.type,
                self.message,
                self.clause,
                reason="a fault plan refuses this invocation",
                fields=fields,
            )
        )
