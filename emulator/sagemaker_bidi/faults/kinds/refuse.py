"""`refuse`: an invocation is refused before its stream opens (O4-O7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.contract.errors import Refusal, Refused
from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Attempt


@fault
@dataclass(frozen=True)
class Refuse:
    """Answers with an HTTP error.

    Args:
        status: HTTP status, from 400 to 599.
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

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 599:
            raise ValueError(f"status must be an HTTP error's, from 400 to 599, not {self.status}")
        if not re.fullmatch(r"[!-~]+", self.type):
            raise ValueError(f"type goes into a header: ASCII without spaces, not {self.type!r}")
        if not self.after >= 0:
            raise ValueError(f"after must be 0 or more, not {self.after}")

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
