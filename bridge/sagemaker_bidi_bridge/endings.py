"""What each way of ending on one side becomes on the other; no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, CloseCode

from sagemaker_bidi_bridge.observe import SideEnd
from sagemaker_bidi_bridge.sessions import Cut

_REASON_BYTES = 123  # RFC 6455, 5.5: 125 bytes of payload, two of them for the code
_NO_CODE = 1005
# The codes of RFC 6455, 7.4.1 and its registry that an endpoint may put on the wire.
_SENDABLE = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
# The server sends these itself when it can't accept a frame, and ASGI does not tell them from
# the same code received.
_FROM_EITHER_SIDE = frozenset({1002, 1007, 1009})


@dataclass(frozen=True, slots=True)
class SageMakerEnded:
    """SageMaker's side is gone; `to_vllm` is the Close frame that vLLM gets."""

    end: SideEnd
    to_vllm: Close


@dataclass(frozen=True, slots=True)
class BackendEnded:
    """vLLM's side is gone; `to_sagemaker` is the Close frame that SageMaker gets (E1)."""

    end: SideEnd
    to_sagemaker: Close


Outcome = SageMakerEnded | BackendEnded | Cut


def may_be_sent(code: int) -> bool:
    """Whether a Close frame may carry this code (RFC 6455, 7.4)."""
    return code in _SENDABLE or 3_000 <= code <= 4_999


def close_frame(code: int, reason: str) -> Close:
    """A Close frame with its reason cut to the 123 bytes that fit (RFC 6455, 5.5)."""
    return Close(code, reason.encode()[:_REASON_BYTES].decode(errors="ignore"))


def not_text(at: int) -> str:
    """The reason of a 1007 (RFC 6455, 7.4.1) for a message that cannot be read as text.

    Args:
        at: the first byte that is not UTF-8.
    """
    return f"not UTF-8 at byte {at}: vLLM takes JSON as text (DataType=UTF8)"


def backend_ended(error: ConnectionClosed) -> BackendEnded:
    """Read how vLLM's connection ended.

    A code that vLLM sent is passed on with its reason. Whatever ended without one is a failure
    and becomes 1011: never 1000, which would read as a complete transcript.

    Args:
        error: what websockets raised.
    """
    received, sent = error.rcvd, error.sent
    if received is not None and (sent is None or error.rcvd_then_sent):
        end = SideEnd("received", received.code, received.reason)
        if may_be_sent(received.code):
            return BackendEnded(end, close_frame(received.code, received.reason))
        return BackendEnded(end, _failure("vLLM closed without a status code"))
    if sent is not None:
        detail = sent.reason or "no reason"
        return BackendEnded(
            SideEnd("sent", sent.code, sent.reason),
            _failure(f"the bridge closed vLLM's connection with {sent.code}: {detail}"),
        )
    cause = "reset" if isinstance(error.__cause__, ConnectionError) else "TCP ended"
    reason = f"vLLM's connection was lost without a Close frame ({cause})"
    return BackendEnded(SideEnd("lost", None, cause), _failure(reason))


def sagemaker_ended(message: Mapping[str, Any]) -> SageMakerEnded:
    """Read how SageMaker's connection ended.

    Args:
        message: the ASGI `websocket.disconnect` message.
    """
    code, reason = message.get("code", _NO_CODE), message.get("reason")
    if code == _NO_CODE and reason is None:
        return SageMakerEnded(
            SideEnd("lost", None, "TCP ended without a Close frame"),
            close_frame(CloseCode.GOING_AWAY, "SageMaker's connection was lost"),
        )
    how: Literal["closed", "received"] = "closed" if code in _FROM_EITHER_SIDE else "received"
    to_vllm = (
        close_frame(code, reason or "")
        if may_be_sent(code)
        else close_frame(CloseCode.GOING_AWAY, "SageMaker closed without a status code")
    )
    return SageMakerEnded(SideEnd(how, code, reason or ""), to_vllm)


def _failure(reason: str) -> Close:
    return close_frame(CloseCode.INTERNAL_ERROR, reason)
