"""What the HTTP/2 layer allows and announces (RFC 9113)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Http2Settings:
    """Limits of a connection and its streams; sizes in bytes.

    Args:
        stream_window: what a client may send on one stream before the session has taken it. It
            bounds the memory of a session.
        connection_window: the same for the connection. It is credited on arrival, so that a
            stalled session never closes it for its siblings.
        max_frame_size: largest DATA frame accepted (RFC 9113 4.2).
        max_streams: sessions at once on one connection (RFC 9113 5.1.2).
        max_header_list: of one request (RFC 9113 6.5.2).
        send_buffer: what a stream holds back for a client that reads slowly before the session
            is made to wait.
        headers_seconds: time for a client's first request, and for a header block once begun.
        resets_per_second: streams that a client may reset before their response has ended.
        control_frames_per_second: SETTINGS, PING and PRIORITY frames together.
        empty_frames_per_second: DATA frames with nothing in them.
        burst_seconds: how many seconds' worth of those three may come at once.
    """

    stream_window: int = 1024 * 1024
    connection_window: int = 16 * 1024 * 1024
    max_frame_size: int = 64 * 1024
    max_streams: int = 1000
    max_header_list: int = 64 * 1024
    send_buffer: int = 256 * 1024
    headers_seconds: float = 10.0
    resets_per_second: float = 50.0
    control_frames_per_second: float = 100.0
    empty_frames_per_second: float = 100.0
    burst_seconds: float = 10.0
