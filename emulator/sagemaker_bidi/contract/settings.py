"""The contract's numbers and choices, each with its clause and where it is known from.

A field marked `assumed` is behaviour that nobody has published: it can be configured, and
`assumptions()` lists it with the value in force.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Literal

from sagemaker_bidi.contract.endings import ClosePolicy
from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.eventstream.messages import (
    LARGEST_MESSAGE,
    MESSAGE_OVERHEAD,
    EventStreamError,
    Limits,
)
from sagemaker_bidi.contract.sigv4.chunks import SIGNED_HEADER_BYTES

LARGEST_PAYLOAD = Limits().payload_bytes
# What headers and payload of an event may have together, for its signed message to have a length.
_LARGEST_EVENT = LARGEST_MESSAGE - 2 * MESSAGE_OVERHEAD - SIGNED_HEADER_BYTES
# RFC 6455 7.4.1 and the codes registered since; 1004-1006 and 1015 are never sent.
SENDABLE_CLOSE_CODES = (*range(1000, 1004), *range(1007, 1015))

type Provenance = Literal["documented", "reported", "assumed", "conflict"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a setting comes from: its clause, its provenance, what it decides."""

    clause: str
    provenance: Provenance
    says: str


def choice[T](default: T, clause: str, provenance: Provenance, says: str) -> T:
    """A dataclass field that carries its `Choice`."""
    return field(default=default, metadata={"choice": Choice(clause, provenance, says)})


@dataclass(frozen=True, slots=True)
class ContractSettings:
    """Every number and choice of the contract. Times in seconds, sizes in bytes.

    Raises:
        ValueError: a number that cannot be worked with; names the setting.
    """

    ignore_empty_target: bool = choice(
        False,
        "W2",
        "conflict",
        "an empty invocation path or query string header counts as none; else it is refused",
    )
    accept_seconds: float = choice(
        0.25, "O3", "documented", "time for the container to accept the WebSocket"
    )
    ping_interval: float = choice(60.0, "K1", "documented", "time between pings to the container")
    missed_pongs: int = choice(5, "K1", "documented", "consecutive unanswered pings that close")
    last_pong_wait: float = choice(
        0.0, "K1", "assumed", "how long the last of those pings is waited for"
    )
    lifetime: float = choice(1800.0, "K2", "documented", "longest life of a stream")
    reassemble: bool = choice(
        False, "F4", "conflict", "PARTIAL parts reach the container as one message, not fragments"
    )
    error_frames: bool = choice(
        True, "E4", "conflict", 'a text frame {"ModelStreamError": …} is an error for the client'
    )
    health_timeout: float = choice(2.0, "K4", "documented", "time for /ping to answer 200")
    startup_seconds: float = choice(
        480.0, "K4", "documented", "time for a container to pass /ping after its start"
    )
    health_interval: float = choice(5.0, "K4", "assumed", "time between checks of /ping")
    health_failures: int = choice(
        3, "K4", "assumed", "consecutive failed checks that make a container unhealthy"
    )
    missed_pongs_error: StreamError = choice(
        StreamError(
            "ModelStreamError",
            "StreamBroken",
            "Model container did not answer {pings} consecutive pings.",
        ),
        "K3",
        "assumed",
        "what the client sees when the container stops answering pings",
    )
    lifetime_error: StreamError = choice(
        StreamError(
            "ModelStreamError",
            "ModelInvocationTimeExceeded",
            "The stream reached its longest duration of {seconds} seconds.",
        ),
        "K3",
        "assumed",
        "what the client sees when the stream has lived its longest",
    )
    invalid_input_error: StreamError = choice(
        StreamError("error", "ValidationException", "{detail}"),
        "F7",
        "assumed",
        "what the client sees after an event that cannot be accepted",
    )
    metering_slack: float = choice(
        0.5, "M2", "assumed", "how early a metering message may come, against one a second"
    )
    metadata_lost_error: StreamError = choice(
        StreamError(
            "ModelStreamError",
            "INTERNAL_FAILURE_FROM_MODEL",
            'Received server error (424) from model with message "Metadata stream failed".',
        ),
        "M3",
        "assumed",
        "what the client sees when a required metadata stream drops in mid-stream",
    )
    shutdown_error: StreamError = choice(
        StreamError("InternalStreamFailure", "", "The service is shutting down."),
        "E5",
        "assumed",
        "what the client sees when the emulator stops before the stream has ended",
    )
    connection_lost_error: StreamError = choice(
        StreamError("ModelStreamError", "StreamBroken", "Model container closed the connection."),
        "E6",
        "assumed",
        "what the client sees when the container's connection ends without a Close frame",
    )
    close_policy: ClosePolicy = field(
        default_factory=ClosePolicy,
        metadata={
            "choice": Choice(
                "E2", "reported", "what each close code of the container is for the client"
            )
        },
    )
    reset_after_error: bool = choice(
        False, "E7", "assumed", "after an in-stream error: RST_STREAM instead of END_STREAM"
    )
    reset_open_input: bool = choice(
        False,
        "E8",
        "reported",
        "a complete response ends a client's open input with RST_STREAM(NO_ERROR); else what it "
        "still sends is taken and thrown away",
    )
    half_close_code: int = choice(
        1000, "E3", "assumed", "close code for the container after the client closed its input"
    )
    event_bytes: int = choice(
        16 * 1024 * 1024, "K5", "assumed", "largest payload of one event from the client"
    )
    event_header_bytes: int = choice(
        Limits().header_bytes,
        "K5",
        "assumed",
        "largest headers of one event from the client, and of its signed message",
    )
    events_per_second: float = choice(
        math.inf,
        "K5",
        "assumed",
        "events that a client may send on a stream, a second's worth of them at once",
    )
    event_rate_error: StreamError = choice(
        StreamError(
            "error", "ThrottlingException", "Rate exceeded: more than {events} events a second."
        ),
        "K5",
        "assumed",
        "what the client sees when it has sent more events than that",
    )
    idle_seconds: float = choice(
        math.inf,
        "K5",
        "assumed",
        "longest time in which neither a part nor a data frame passes; pings and pongs are none",
    )
    idle_error: StreamError = choice(
        StreamError(
            "ModelStreamError",
            "ModelInvocationTimeExceeded",
            "The stream was idle for {seconds} seconds.",
        ),
        "K5",
        "assumed",
        "what the client sees when the stream was idle for so long",
    )
    frame_bytes: int = choice(
        16 * 1024 * 1024, "K5", "assumed", "largest payload of one frame from the container"
    )
    max_skew: float = choice(300.0, "O6", "reported", "largest difference to the client's clock")

    def __post_init__(self) -> None:
        for name in (
            "accept_seconds",
            "ping_interval",
            "missed_pongs",
            "lifetime",
            "health_timeout",
            "startup_seconds",
            "health_interval",
            "health_failures",
            "events_per_second",
            "idle_seconds",
        ):
            self._require(name, getattr(self, name) > 0, "more than 0")
        for name, value, _ in choices(self):
            if isinstance(value, StreamError):
                self._check_error(name, value)
        for name in ("last_pong_wait", "metering_slack", "max_skew"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        self._require(
            "event_header_bytes",
            SIGNED_HEADER_BYTES <= self.event_header_bytes < _LARGEST_EVENT,
            f"{SIGNED_HEADER_BYTES}, what a signed message takes itself, to {_LARGEST_EVENT - 1}",
        )
        largest = _LARGEST_EVENT - self.event_header_bytes
        self._require(
            "event_bytes",
            1 <= self.event_bytes <= largest,
            f"1 to {largest}, the most that a signed message can carry with event_header_bytes",
        )
        self._require(
            "frame_bytes",
            1 <= self.frame_bytes <= LARGEST_PAYLOAD,
            f"1 to {LARGEST_PAYLOAD}, the most that an event can carry to the client",
        )
        self._require(
            "half_close_code",
            self.half_close_code in SENDABLE_CLOSE_CODES or 3000 <= self.half_close_code <= 4999,
            "a code that a Close frame may carry: 1000-1003, 1007-1014 or 3000-4999",
        )

    @staticmethod
    def _check_error(name: str, error: StreamError) -> None:
        try:
            error.encode().encode()
        except EventStreamError as cause:
            raise ValueError(f"{name} must fit into an event: {cause}") from cause

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {expected} (received {getattr(self, name)!r})")


def choices(settings: ContractSettings) -> Iterator[tuple[str, object, Choice]]:
    """Each setting with its value and where it comes from."""
    for item in fields(settings):
        yield item.name, getattr(settings, item.name), item.metadata["choice"]


def assumptions(settings: ContractSettings) -> list[tuple[str, object, Choice]]:
    """The settings that rest on no publication, or on conflicting ones."""
    return [entry for entry in choices(settings) if entry[2].provenance in ("assumed", "conflict")]
