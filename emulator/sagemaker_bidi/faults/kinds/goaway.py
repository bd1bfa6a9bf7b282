"""`goaway`: the client's connection takes no new streams (RFC 9113 6.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.codes import CodeName, error_code
from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Attempt, TappedSession


@fault
@dataclass(frozen=True)
class Goaway:
    """Sends GOAWAY; streams that are open go on, new ones are refused.

    Args:
        code: as RFC 9113 7 names it.
    """

    name: ClassVar[str] = "goaway"
    code: CodeName = "NO_ERROR"

    async def open(self, attempt: Attempt, scene: Scene) -> None:
        attempt.goaway(error_code(self.code))

    async def act(self, session: TappedSession, scene: Scene) -> None:
        await session.flushed()
        session.goaway(error_code(self.code))
