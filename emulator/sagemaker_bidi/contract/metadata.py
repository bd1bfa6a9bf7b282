"""The metadata stream: a second WebSocket on which a container reports usage (M1-M3)."""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from sagemaker_bidi.contract.frames import Frame, Opcode

SUPPORTED = "x-amzn-sagemaker-metadata-stream-supported"
REQUIRED = "x-amzn-sagemaker-metadata-stream-required"
PATH = "x-amzn-sagemaker-metadata-invocation-path"
DEFAULT_PATH = "/invocations-bidirectional-stream-metadata"

FRAME_BYTES = 512
DIMENSION_LENGTH = 128
TOKEN_LENGTH = 64
MESSAGE_SECONDS = 1.0
REMEMBERED_TOKENS = 100_000


@dataclass(frozen=True, slots=True)
class MetadataOffer:
    """What a container's upgrade response says of a metadata stream (M1).

    Args:
        required: the data stream may not go on without it (M3).
        path: of the second WebSocket, with its leading slash.
    """

    required: bool
    path: str


def read_offer(headers: Mapping[str, str]) -> MetadataOffer | None:
    """The offer in an upgrade response's headers, names in lower case; None without one (M1)."""
    if headers.get(SUPPORTED, "").strip().lower() != "true":
        return None
    path = headers.get(PATH, "").strip() or DEFAULT_PATH
    # What no request line can carry is escaped: the container answers for its own path.
    path = quote(path, safe="/?%:@!$&'()*+,;=~", errors="surrogateescape")
    return MetadataOffer(
        headers.get(REQUIRED, "").strip().lower() == "true",
        path if path.startswith("/") else f"/{path}",
    )


@dataclass(frozen=True, slots=True)
class Metered:
    """Usage that counts."""

    dimension: str
    units: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """A frame that does not count; `why` names what was wrong and what is expected (M2)."""

    why: str


class Metering:
    """Reads the metadata stream's frames and adds up the usage (M2).

    Args:
        slack: seconds that a message may be early, against one a second: one that comes on a
            timer of a second is early wherever the last was late.
    """

    def __init__(self, slack: float = 0.5) -> None:
        self._slack = slack
        self.units: dict[str, float] = {}
        self.counted = 0
        self.dropped = 0
        self._tokens: OrderedDict[str, None] = OrderedDict()
        self._due = float("-inf")

    def receive_frame(self, frame: Frame, now: float) -> Metered | Dropped:
        """Take a data frame into account.

        Args:
            frame: from the metadata WebSocket.
            now: seconds of a clock that is never scaled: one message a second is the
                container's own pace.
        """
        result = self._judge(frame, now)
        if isinstance(result, Metered):
            self.units[result.dimension] = self.units.get(result.dimension, 0.0) + result.units
            self.counted += 1
        else:
            self.dropped += 1
        return result

    def _judge(self, frame: Frame, now: float) -> Metered | Dropped:
        if frame.opcode is not Opcode.TEXT or not frame.fin:
            return Dropped("not a whole text frame")
        if len(frame.payload) > FRAME_BYTES:
            return Dropped(f"{len(frame.payload)} bytes, at most {FRAME_BYTES} are allowed")
        try:
            document = json.loads(frame.payload.decode())
        except (ValueError, RecursionError):
            return Dropped("not JSON")
        match document:
            case {
                "Metering": {
                    "Dimension": str(dimension),
                    "ConsumedUnits": int() | float() as units,
                    **rest,
                }
            } if not isinstance(units, bool) and isinstance(
                token := rest.get("ClientToken"), str | None
            ):
                return self._count(dimension, units, token, now)
            case _:
                return Dropped(
                    'not {"Metering": {"Dimension": text, "ConsumedUnits": number, '
                    '"ClientToken": text or nothing}}'
                )

    def _count(
        self, dimension: str, units: float, token: str | None, now: float
    ) -> Metered | Dropped:
        if not 0 < len(dimension) <= DIMENSION_LENGTH:
            return Dropped(f"Dimension has {len(dimension)} characters, not 1-{DIMENSION_LENGTH}")
        if not 0 < units <= sys.float_info.max:
            return Dropped("ConsumedUnits is not more than 0, or too large for a number")
        if token is not None and not 0 < len(token) <= TOKEN_LENGTH:
            return Dropped(f"ClientToken has {len(token)} characters, not 1-{TOKEN_LENGTH}")
        if now < self._due - self._slack:
            return Dropped("more than one message in a second")
        self._due = max(now, self._due) + MESSAGE_SECONDS
        if token is not None:
            if token in self._tokens:
                return Dropped("its ClientToken was counted before")
            self._tokens[token] = None
            if len(self._tokens) > REMEMBERED_TOKENS:
                self._tokens.popitem(last=False)
        return Metered(dimension, float(units))
