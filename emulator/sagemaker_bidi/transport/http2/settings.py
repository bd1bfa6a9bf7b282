"""What the HTTP/2 layer allows and announces (RFC 9113)."""

from __future__ import annotations

import math
from dataclasses import dataclass

_LARGEST_WINDOW = 2**31 - 1
_WHOLE = {
    "stream_window": (1, _LARGEST_WINDOW, "bytes, RFC 9113 6.5.2"),
    # SETTINGS cannot make it smaller than the protocol's own.
    "connection_window": (65_535, _LARGEST_WINDOW, "bytes, RFC 9113 6.9.2"),
    "max_frame_size": (16_384, 2**24 - 1, "bytes, RFC 9113 6.5.2"),
    "max_connections": (1, 2**31 - 1, "connections"),
    "max_streams": (1, 2**31 - 1, "RFC 9113 5.1.2"),
    "max_header_list": (1, 2**32 - 1, "bytes, RFC 9113 6.5.2"),
    "max_continuations": (1, 1_000_000, "frames"),
    "send_buffer": (0, _LARGEST_WINDOW, "bytes"),
    "unread_answers": (1, _LARGEST_WINDOW, "bytes"),
}
_RATES = (
    "requests_per_second",
    "resets_per_second",
    "control_frames_per_second",
    "empty_frames_per_second",
    "small_frames_per_second",
    "idle_frames_per_second",
)


@dataclass(frozen=True, slots=True)
class Http2Settings:
    """Limits of connections and their streams; sizes in bytes.

    Args:
        stream_window: what a client may send on one stream before the session has taken it. It
            bounds the memory of a session.
        connection_window: the same for the connection. It is credited on arrival, so that a
            stalled session never closes it for its siblings.
        max_frame_size: largest frame accepted (RFC 9113 4.2).
        max_connections: at once, for each worker (K5).
        max_streams: sessions at once on one connection (RFC 9113 5.1.2).
        max_header_list: of one request (RFC 9113 6.5.2).
        max_continuations: CONTINUATION frames of one header block (RFC 9113 6.10).
        send_buffer: what a stream holds back for a client that reads slowly before the session
            is made to wait.
        unread_answers: what may wait beyond that for a client that goes on sending what has to be
            answered and does not read.
        headers_seconds: time for a client's first request, and for a header block once begun.
        requests_per_second: streams that a client opens.
        resets_per_second: streams that a client may reset, or have reset by what it sends, before
            their response has ended, and streams beyond `max_streams`.
        control_frames_per_second: SETTINGS, PING, PRIORITY, GOAWAY and unknown frames together.
        empty_frames_per_second: DATA frames with nothing in them.
        small_frames_per_second: DATA frames of less than 64 bytes, unless longer ones before them
            make up for it.
        idle_frames_per_second: WINDOW_UPDATE frames, and frames on streams that are over, beyond
            four for each DATA frame that the client was sent and each stream that it opened.
        burst_seconds: how many seconds' worth of those six may come at once.

    Raises:
        ValueError: a number out of its range; names the setting and the range.
    """

    stream_window: int = 1024 * 1024
    connection_window: int = 16 * 1024 * 1024
    max_frame_size: int = 64 * 1024
    max_connections: int = 10_000
    max_streams: int = 1000
    max_header_list: int = 64 * 1024
    max_continuations: int = 64
    send_buffer: int = 256 * 1024
    unread_answers: int = 1024 * 1024
    headers_seconds: float = 10.0
    requests_per_second: float = 200.0
    resets_per_second: float = 50.0
    control_frames_per_second: float = 100.0
    empty_frames_per_second: float = 100.0
    small_frames_per_second: float = 1000.0
    idle_frames_per_second: float = 100.0
    burst_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name, (least, most, what) in _WHOLE.items():
            given = getattr(self, name)
            self._require(name, least <= given <= most, f"{least} to {most} ({what})")
        for name in ("headers_seconds", *_RATES, "burst_seconds"):
            given = getattr(self, name)
            self._require(name, 0 < given < math.inf, "more than 0 and finite")
        for name in _RATES:
            needed = 1 / self.burst_seconds
            holds = getattr(self, name) >= needed
            self._require(name, holds, f"{needed:g} or more, 1 / burst_seconds, or none may come")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {expected} (received {getattr(self, name)!r})")
