"""Frames by their numbers, for the cases that no library would write."""

from __future__ import annotations

import struct

from hyperframe.frame import ContinuationFrame, HeadersFrame, PriorityFrame, WindowUpdateFrame

from tests.transport.http2.conversation import Sent
from tests.transport.http2.raw_client import RawClient, frame, request

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE = range(6)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, ALTSVC = range(6, 11)
UNKNOWN = 0xEE
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20


def raw(type_: int, flags: int, stream_id: int, body: bytes = b"") -> Sent:
    """One frame."""
    return lambda client: frame(type_, flags, stream_id, body)


def data(stream_id: int) -> Sent:
    """DATA of one byte."""
    return raw(DATA, 0, stream_id, b"x")


def head_of(type_: int, stream_id: int, length: int) -> Sent:
    """The nine bytes before a payload that does not come."""
    return lambda client: length.to_bytes(3) + bytes([type_, 0]) + stream_id.to_bytes(4)


def block(stream_id: int, content: bytes, flags: int = 0) -> Sent:
    """HEADERS with a block as it stands."""
    return raw(HEADERS, END_HEADERS | flags, stream_id, content)


def fields(stream_id: int, *pairs: tuple[str, str], end: bool = False) -> Sent:
    """HEADERS with these fields, or with a request's."""
    return lambda client: client.headers_frame(stream_id, pairs or request(), end=end)


def within(stream_id: int, second: Sent) -> Sent:
    """Something in the middle of a header block."""

    def sent(client: RawClient) -> bytes:
        whole = client.block(request())
        first = HeadersFrame(stream_id, whole[: len(whole) // 2])
        return first.serialize() + in_bytes(second, client)

    return sent


def then(*parts: Sent) -> Sent:
    """One after the other, in one piece."""
    return lambda client: b"".join(in_bytes(part, client) for part in parts)


def in_bytes(sent: Sent, client: RawClient) -> bytes:
    """What would be sent."""
    made = sent(client)
    parts = made if isinstance(made, list) else [made]
    return b"".join(p if isinstance(p, bytes) else p.serialize() for p in parts)


def continuation(stream_id: int, *flags: str) -> Sent:
    """CONTINUATION with one field."""
    return lambda client: ContinuationFrame(stream_id, b"\x82", flags=flags)


def priority(stream_id: int, depends_on: int) -> Sent:
    """PRIORITY as RFC 7540 has it."""
    return lambda client: PriorityFrame(stream_id, depends_on=depends_on)


def credit(stream_id: int, amount: int) -> Sent:
    """WINDOW_UPDATE."""
    return lambda client: WindowUpdateFrame(stream_id, amount)


def setting(identifier: int, value: int) -> Sent:
    """SETTINGS with one entry."""
    return raw(SETTINGS, 0, 0, struct.pack(">HL", identifier, value))
