"""`end`: the response ends, as if all had been said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import TappedSession


@fault
@dataclass(frozen=True)
class End:
    """Ends the response with END_STREAM and no error; the container gets Close 1001."""

    name: ClassVar[str] = "end"

    async def act(self, session: TappedSession, scene: Scene) -> None:
        session.end(None, "a fault plan ended the session")
