"""`inject-error`: the client is sent an error (E5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.tap import TappedSession


@fault
@dataclass(frozen=True)
class InjectError:
    """Sends an error inside the stream and, unless told otherwise, ends the session with it.

    Args:
        event: `ModelStreamError`, `InternalStreamFailure` or any other exception type; `error`
            makes an unmodelled error.
        code: the error's code; `InternalStreamFailure` has none.
        message: what the client is told.
        ends: whether the session ends with it.
    """

    name: ClassVar[str] = "inject-error"
    event: str = "ModelStreamError"
    code: str = ""
    message: str = ""
    ends: bool = True

    def __post_init__(self) -> None:
        self._error.encode().encode()

    @property
    def _error(self) -> StreamError:
        return StreamError(self.event, self.code, self.message)

    async def act(self, session: TappedSession, scene: Scene) -> None:
        if self.ends:
            session.end(self._error, "a fault plan ended the session with an error")
        else:
            session.send_to_client(self._error)
