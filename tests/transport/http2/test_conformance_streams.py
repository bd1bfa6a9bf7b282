"""RFC 9113 4 and 5: frames, header blocks, and the states of a stream."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import HeadersFrame

from sagemaker_bidi.transport.http2.settings import Http2Settings
from tests.transport.http2.conversation import (
    CLOSED,
    COMPRESSION,
    GOES_ON,
    HALF_CLOSED,
    IDLE,
    OPEN,
    OVER,
    PROTOCOL,
    RESET_BY_CLIENT,
    SIZE,
    SKIPPED,
    Case,
    ConnectionError_,
    StreamError,
    conversation,
    judge,
    table,
)
from tests.transport.http2.raw_client import request
from tests.transport.http2.wrong_frames import (
    ALTSVC,
    DATA,
    END_STREAM,
    RST_STREAM,
    UNKNOWN,
    WINDOW_UPDATE,
    block,
    credit,
    data,
    fields,
    head_of,
    priority,
    raw,
    then,
    within,
)

ONE = b"\0\0\0\1"
NO_CODE = bytes(4)


def late(stream_id: int) -> StreamError:
    """The stream is closed, and only that (RFC 9113 5.1)."""
    return StreamError(stream_id, ErrorCodes.STREAM_CLOSED)


CASES = table(
    {
        "4.1": [
            ("flags that nobody defines", raw(WINDOW_UPDATE, 0xFF, OPEN, ONE), GOES_ON),
            ("the reserved bit", raw(WINDOW_UPDATE, 0, OPEN | 1 << 31, ONE), GOES_ON),
        ],
        "4.2": [
            ("DATA of the largest size", raw(DATA, 0, OPEN, bytes(16_384)), GOES_ON),
            ("larger DATA, told by its header alone", head_of(DATA, OPEN, 16_385), SIZE),
            ("an unknown frame that is larger", head_of(UNKNOWN, 0, 16_385), SIZE),
        ],
        "4.3": [
            ("an index that nothing has", block(IDLE, b"\xff\xff\x7f"), COMPRESSION),
            ("a block that is cut off", block(IDLE, b"\x40\x0aabc"), COMPRESSION),
            ("a table larger than was allowed", block(IDLE, b"\x3f\xe2\x1f\x82"), COMPRESSION),
            ("wrong trailers", block(OPEN, b"\xff\xff\x7f", END_STREAM), COMPRESSION),
        ],
        "5.1 idle": [
            ("DATA", data(IDLE), PROTOCOL),
            ("RST_STREAM", raw(RST_STREAM, 0, IDLE, NO_CODE), PROTOCOL),
            ("RST_STREAM on a number of the server's", raw(RST_STREAM, 0, 2, NO_CODE), PROTOCOL),
            ("WINDOW_UPDATE", credit(IDLE, 1), PROTOCOL),
            ("PRIORITY", priority(IDLE, 1), GOES_ON),
        ],
        "5.1 half closed": [
            ("DATA", data(HALF_CLOSED), late(HALF_CLOSED)),
            ("HEADERS", fields(HALF_CLOSED, ("a", "b"), end=True), late(HALF_CLOSED)),
            ("WINDOW_UPDATE", credit(HALF_CLOSED, 1), GOES_ON),
            ("PRIORITY", priority(HALF_CLOSED, 1), GOES_ON),
            ("RST_STREAM", raw(RST_STREAM, 0, HALF_CLOSED, NO_CODE), GOES_ON),
        ],
        "5.1 closed by both": [
            ("DATA", data(CLOSED), late(CLOSED)),
            ("HEADERS", fields(CLOSED), ConnectionError_(ErrorCodes.STREAM_CLOSED)),
            ("WINDOW_UPDATE", credit(CLOSED, 1), GOES_ON),
            ("PRIORITY", priority(CLOSED, 1), GOES_ON),
            ("RST_STREAM", raw(RST_STREAM, 0, CLOSED, NO_CODE), GOES_ON),
        ],
        "5.1 closed by the client's reset": [
            ("DATA", data(RESET_BY_CLIENT), late(RESET_BY_CLIENT)),
            ("HEADERS", fields(RESET_BY_CLIENT, ("a", "b"), end=True), late(RESET_BY_CLIENT)),
        ],
        "5.1 closed by the server's reset": [
            ("DATA", data(OVER), late(OVER)),
            ("trailers", fields(OVER, ("a", "b"), end=True), late(OVER)),
            ("RST_STREAM", raw(RST_STREAM, 0, OVER, NO_CODE), GOES_ON),
        ],
        "5.1.1": [
            ("an even number", fields(IDLE + 1), PROTOCOL),
            ("a number that was skipped", fields(SKIPPED), PROTOCOL),
        ],
        "RFC 7540 5.3.1": [
            (
                "an open stream that depends on itself",
                priority(OPEN, OPEN),
                StreamError(OPEN, ErrorCodes.PROTOCOL_ERROR),
            ),
            (
                "a new stream that depends on itself",
                lambda client: HeadersFrame(
                    IDLE,
                    client.block(request()),
                    depends_on=IDLE,
                    flags=["END_HEADERS", "PRIORITY"],
                ),
                StreamError(IDLE, ErrorCodes.PROTOCOL_ERROR),
            ),
        ],
        "5.5": [
            ("an unknown frame on the connection", raw(UNKNOWN, 0xFF, 0, b"grease"), GOES_ON),
            ("an unknown frame on a stream", raw(UNKNOWN, 0xFF, OPEN, b"grease"), GOES_ON),
            ("an unknown frame on an idle stream", raw(UNKNOWN, 0, IDLE), GOES_ON),
            ("an unknown frame in a header block", within(IDLE, raw(UNKNOWN, 0, IDLE)), PROTOCOL),
        ],
        "RFC 7838 4": [
            (
                "ALTSVC, which a server ignores, right or wrong",
                then(raw(ALTSVC, 0, OPEN, b"\0\0x"), raw(ALTSVC, 0, 0, b"\xff")),
                GOES_ON,
            ),
        ],
    }
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_the_answer_is_the_one_that_the_rfc_demands(case: Case) -> None:
    async with conversation(Http2Settings(max_frame_size=16_384)) as client:
        await judge(client, case)
