"""`inject-event`: the client is sent an event that the container never sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from sagemaker_bidi.contract.eventstream.messages import HeaderValue, Message
from sagemaker_bidi.faults.fault import Scene, fault
from sagemaker_bidi.faults.payload import check_payload, payload_of
from sagemaker_bidi.tap import Raw, TappedSession


@fault
@dataclass(frozen=True)
class InjectEvent:
    """Adds an event-stream message of any type (W3); the session goes on.

    Args:
        type: the event's or the exception's, such as `PayloadPart` or one that no SDK knows.
        message_type: `event` or `exception`.
        headers: further headers.
        text: the payload.
        base64: the same for any bytes.
    """

    name: ClassVar[str] = "inject-event"
    type: str
    message_type: Literal["event", "exception"] = "event"
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    base64: str | None = None

    def __post_init__(self) -> None:
        check_payload(self.text, self.base64)
        self._message().encode()

    async def act(self, session: TappedSession, scene: Scene) -> None:
        session.send_to_client(Raw(self._message().encode()))

    def _message(self) -> Message:
        content = "application/json" if self.message_type == "exception" else ""
        headers: dict[str, HeaderValue] = {
            ":message-type": self.message_type,
            f":{self.message_type}-type": self.type,
            ":content-type": content or "application/octet-stream",
            **self.headers,
        }
        payload = payload_of(self.text, self.base64) or b""
        return Message(headers, payload)
