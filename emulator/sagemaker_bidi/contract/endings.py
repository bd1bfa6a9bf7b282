"""How a stream ends for the client when the container ends it (E1, E2, E4)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sagemaker_bidi.contract.errors import StreamError

ABNORMAL = 1006
NO_STATUS = 1005

_ERROR_FRAME = re.compile(rb'\s*\{\s*"ModelStreamError"\s*:')
# Far above any error's text; as JSON for the client it stays within one event.
_ERROR_FRAME_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CloseRule:
    """What one WebSocket close code becomes for the client.

    Args:
        error: None, as when it is left out, ends the stream cleanly; else the error, in whose
            code and message `{code}` and `{reason}` stand for the Close frame's own.
    """

    error: StreamError | None = None


WRAPPED = CloseRule(StreamError("ModelStreamError", "{code}", "{reason}"))
CLEAN = CloseRule()

DEFAULT_CLOSE_RULES: Mapping[int, CloseRule] = {1000: CLEAN, NO_STATUS: CLEAN}


@dataclass(frozen=True, slots=True)
class ClosePolicy:
    """Close codes and their answers (E1, E2).

    Args:
        rules: by close code, 1005 for a Close frame without one; they win over
            `DEFAULT_CLOSE_RULES`, which stay in force for the other codes.
        otherwise: for codes with no rule: wrapped.

    Raises:
        ValueError: a code that no Close frame can have, 1006 among them.
    """

    rules: Mapping[int, CloseRule] = field(default_factory=dict)
    otherwise: CloseRule = WRAPPED

    def __post_init__(self) -> None:
        for code in self.rules:
            if not 1000 <= code <= 4999 or code == ABNORMAL:
                raise ValueError(
                    f"rules.{code}: no Close frame has this code; expected 1000 to 4999, without "
                    "1006 (a connection lost without a Close frame has a setting of its own, E6)"
                )
        object.__setattr__(self, "rules", {**DEFAULT_CLOSE_RULES, **self.rules})

    def error(self, code: int, reason: str) -> StreamError | None:
        """The client's error for a Close frame, or None for a clean end.

        Args:
            code: RFC 6455 7.4; 1005 for a Close frame without one.
            reason: as the container gave it; may be empty.
        """
        error = self.rules.get(code, self.otherwise).error
        if error is None:
            return None
        status = "no status code" if code == NO_STATUS else f"status code {code}"
        reason = reason or f"Model container closed the WebSocket with {status}."
        return StreamError(
            error.event, _fill(error.code, code, reason), _fill(error.message, code, reason)
        )


def _fill(text: str, code: int, reason: str) -> str:
    return text.replace("{code}", str(code)).replace("{reason}", reason)


def error_in_text_frame(payload: bytes) -> StreamError | None:
    """Read the Marketplace guide's error frame, `{"ModelStreamError": {…}}` (E4).

    Any other payload gives None: a model's own JSON passes untouched.
    """
    if len(payload) > _ERROR_FRAME_BYTES or not _ERROR_FRAME.match(payload):
        return None
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"ModelStreamError": {"ErrorCode": str(code), "Message": str(message)}, **rest} if (
            not rest
        ):
            return StreamError("ModelStreamError", code, message)
        case _:
            return None
