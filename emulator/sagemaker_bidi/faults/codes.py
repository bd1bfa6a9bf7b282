"""HTTP/2's error codes by the names that RFC 9113 7 gives them."""

from __future__ import annotations

from typing import Literal

from h2.errors import ErrorCodes

type CodeName = Literal[
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
]


def error_code(name: CodeName) -> ErrorCodes:
    """The number of a code."""
    return ErrorCodes[name]
