"""`reset-stream`: the client's stream ends with RST_STREAM (RFC 9113 6.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.codes import CodeName, error_code
from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import Attempt, TappedSession


@fault
@dataclass(frozen=True)
class ResetStream:
    """Resets the stream, once what had passed before is on the wire.

    Args:
        code: as RFC 9113 7 names it.
    """

    name: ClassVar[str] = "reset-stream"
    code: CodeName = "INTERNAL_ERROR"

    async def open(self, attempt: Attempt, scene: Scene) -> None:
        attempt.reset_stream(error_code(self.code))

    async def act(self, session: TappedSession, scene: Scene) -> None:
        await session.flushed()
        session.reset_stream(error_code(self.code))
