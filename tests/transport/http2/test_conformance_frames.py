"""RFC 9113 6: each type of frame, wrong in itself."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import HeadersFrame, PushPromiseFrame

from sagemaker_bidi.transport.http2.settings import Http2Settings
from tests.transport.http2.conversation import (
    CLOSED,
    FLOW,
    GOES_ON,
    HALF_CLOSED,
    IDLE,
    LAST,
    OPEN,
    OVER,
    PROTOCOL,
    SIBLING,
    SIZE,
    Case,
    StreamError,
    conversation,
    judge,
    table,
)
from tests.transport.http2.raw_client import request
from tests.transport.http2.wrong_frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    continuation,
    credit,
    data,
    fields,
    raw,
    setting,
    then,
    within,
)

LARGEST = 2**31 - 1
TOO_SHORT = StreamError(OPEN, ErrorCodes.FRAME_SIZE_ERROR)
WINDOW, FRAME = SettingCodes.INITIAL_WINDOW_SIZE, SettingCodes.MAX_FRAME_SIZE

CASES = table(
    {
        "6.1 DATA": [
            ("on the connection", data(0), PROTOCOL),
            ("as much padding as payload", raw(DATA, PADDED, OPEN, b"\x04abc"), PROTOCOL),
            ("padding of unknown length", raw(DATA, PADDED, OPEN), SIZE),
            ("padding only", raw(DATA, PADDED, OPEN, b"\x03\0\0\0"), GOES_ON),
        ],
        "6.2 HEADERS": [
            ("on the connection", raw(HEADERS, END_HEADERS, 0, b"\x82"), PROTOCOL),
            (
                "more padding than payload",
                raw(HEADERS, END_HEADERS | PADDED, IDLE, b"\x09\x82"),
                PROTOCOL,
            ),
            (
                "too little for its priority",
                raw(HEADERS, END_HEADERS | PRIORITIZED, IDLE, b"\0"),
                SIZE,
            ),
            (
                "padding and priority",
                lambda client: HeadersFrame(
                    IDLE,
                    client.block(request()),
                    pad_length=7,
                    depends_on=OPEN,
                    flags=["END_HEADERS", "PADDED", "PRIORITY"],
                ),
                GOES_ON,
            ),
        ],
        "6.3 PRIORITY": [
            ("on the connection", raw(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
            ("4 bytes", raw(PRIORITY, 0, OPEN, bytes(4)), TOO_SHORT),
            ("6 bytes", raw(PRIORITY, 0, OPEN, bytes(6)), TOO_SHORT),
            ("4 bytes on an idle stream, not to be reset", raw(PRIORITY, 0, IDLE, bytes(4)), SIZE),
        ],
        "6.4 RST_STREAM": [
            ("on the connection", raw(RST_STREAM, 0, 0, bytes(4)), PROTOCOL),
            ("3 bytes", raw(RST_STREAM, 0, OPEN, bytes(3)), SIZE),
            ("on an open stream", raw(RST_STREAM, 0, OPEN, bytes(4)), GOES_ON),
        ],
        "6.5 SETTINGS": [
            ("on a stream", raw(SETTINGS, 0, OPEN), PROTOCOL),
            ("an acknowledgement with a payload", raw(SETTINGS, ACK, 0, bytes(6)), SIZE),
            ("5 bytes", raw(SETTINGS, 0, 0, bytes(5)), SIZE),
        ],
        "6.5.2": [
            ("ENABLE_PUSH of 2", setting(SettingCodes.ENABLE_PUSH, 2), PROTOCOL),
            ("INITIAL_WINDOW_SIZE over 2^31-1", setting(WINDOW, 2**31), FLOW),
            ("MAX_FRAME_SIZE under 2^14", setting(FRAME, 16_383), PROTOCOL),
            ("MAX_FRAME_SIZE over 2^24-1", setting(FRAME, 2**24), PROTOCOL),
            ("a setting that nobody knows", setting(0xEE, 1), GOES_ON),
        ],
        "6.6 PUSH_PROMISE": [
            (
                "from a client",
                lambda client: PushPromiseFrame(
                    OPEN, 2, client.block(request()), flags=["END_HEADERS"]
                ),
                PROTOCOL,
            ),
        ],
        "6.7 PING": [
            ("on a stream", raw(PING, 0, OPEN, bytes(8)), PROTOCOL),
            ("7 bytes", raw(PING, 0, 0, bytes(7)), SIZE),
        ],
        "6.8 GOAWAY": [
            ("on a stream", raw(GOAWAY, 0, OPEN, bytes(8)), PROTOCOL),
            ("7 bytes", raw(GOAWAY, 0, 0, bytes(7)), SIZE),
            ("NO_ERROR: the streams go on", raw(GOAWAY, 0, 0, bytes(8)), GOES_ON),
        ],
        "6.9 WINDOW_UPDATE": [
            (
                "0 on a stream",
                raw(WINDOW_UPDATE, 0, OPEN, bytes(4)),
                StreamError(OPEN, ErrorCodes.PROTOCOL_ERROR),
            ),
            ("0 on a closed stream", raw(WINDOW_UPDATE, 0, CLOSED, bytes(4)), GOES_ON),
            ("0 on an idle stream", raw(WINDOW_UPDATE, 0, IDLE, bytes(4)), PROTOCOL),
            ("0 on the connection", raw(WINDOW_UPDATE, 0, 0, bytes(4)), PROTOCOL),
            ("3 bytes", raw(WINDOW_UPDATE, 0, OPEN, bytes(3)), SIZE),
            ("5 bytes", raw(WINDOW_UPDATE, 0, OPEN, bytes(5)), SIZE),
        ],
        "6.9.1": [
            (
                "a stream's window over 2^31-1",
                credit(OPEN, LARGEST),
                StreamError(OPEN, ErrorCodes.FLOW_CONTROL_ERROR),
            ),
            ("the connection's window over 2^31-1", credit(0, LARGEST), FLOW),
        ],
        "6.9.2": [
            (
                "settings that take an open stream's window over 2^31-1",
                then(credit(HALF_CLOSED, LARGEST - 65_535), setting(WINDOW, 65_536)),
                FLOW,
            ),
        ],
        "6.10 CONTINUATION": [
            ("without HEADERS, on an open stream", continuation(OPEN, "END_HEADERS"), PROTOCOL),
            ("without HEADERS, on an idle stream", continuation(IDLE), PROTOCOL),
            ("without HEADERS, on a stream half closed", continuation(HALF_CLOSED), PROTOCOL),
            ("without HEADERS, on a stream that was reset", continuation(OVER), PROTOCOL),
            ("on the connection", raw(CONTINUATION, END_HEADERS, 0, b"\x82"), PROTOCOL),
            ("after the block's end", then(fields(IDLE), continuation(IDLE)), PROTOCOL),
            ("DATA in its place", within(IDLE, data(SIBLING)), PROTOCOL),
            ("PING in its place", within(IDLE, raw(PING, 0, 0, bytes(8))), PROTOCOL),
            ("another HEADERS in its place", within(IDLE, fields(IDLE + 2)), PROTOCOL),
            ("of another stream", within(IDLE, continuation(LAST, "END_HEADERS")), PROTOCOL),
        ],
    }
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_the_answer_is_the_one_that_the_rfc_demands(case: Case) -> None:
    async with conversation(Http2Settings(max_frame_size=16_384)) as client:
        await judge(client, case)
