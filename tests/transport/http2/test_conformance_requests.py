"""RFC 9113 8: a malformed request ends its own stream, and nobody else's."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, Frame

from tests.transport.http2.conversation import (
    GOES_ON,
    IDLE,
    OPEN,
    Case,
    Sent,
    StreamError,
    conversation,
    judge,
    table,
)
from tests.transport.http2.raw_client import RawClient, request
from tests.transport.http2.wrong_frames import fields, then

REFUSED = StreamError(IDLE, ErrorCodes.PROTOCOL_ERROR)
BROKEN = StreamError(OPEN, ErrorCodes.PROTOCOL_ERROR)
HOP_BY_HOP = ("connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade")


def last(*added: tuple[str, str], without: str | None = None, end: bool = False) -> Sent:
    """A request with fields added at its end, or one taken out."""
    kept = [field for field in request() if field[0] != without]
    return fields(IDLE, *kept, *added, end=end)


def first(*added: tuple[str, str]) -> Sent:
    """A request with fields added at its beginning."""
    return fields(IDLE, *added, *request())


def length(value: str, *, end: bool = False) -> Sent:
    """A request with a content-length."""
    return last(("content-length", value), end=end)


def body(*sizes: int, end: bool = True) -> Sent:
    """DATA of these sizes, the last of which may end the request."""

    def sent(client: RawClient) -> list[Frame | bytes]:
        frames = [DataFrame(IDLE, bytes(size)) for size in sizes]
        if end:
            frames[-1].flags.add("END_STREAM")
        return list(frames)

    return sent


CASES = table(
    {
        "8.1": [
            ("trailers that end the request", fields(OPEN, ("a", "b"), end=True), GOES_ON),
            ("trailers that do not end it", fields(OPEN, ("a", "b")), BROKEN),
            ("trailers with a pseudo-header", fields(OPEN, (":path", "/"), end=True), BROKEN),
            ("trailers in upper case", fields(OPEN, ("A", "b"), end=True), BROKEN),
        ],
        "8.1.1 content-length": [
            ("met", then(length("7"), body(3, 4)), GOES_ON),
            ("exceeded", then(length("5"), body(3, 3, end=False)), REFUSED),
            ("not reached", then(length("7"), body(3, 3)), REFUSED),
            ("not reached, with no DATA at all", length("5", end=True), REFUSED),
            ("0, and no DATA", length("0", end=True), GOES_ON),
            (
                "not reached, the end in trailers",
                then(length("5"), body(3, end=False), fields(IDLE, ("a", "b"), end=True)),
                REFUSED,
            ),
            ("no number", length("five"), REFUSED),
            ("twice, and different", last(*(("content-length", n) for n in "56")), REFUSED),
        ],
        "8.2": [("a name in upper case", last(("X-Upper", "a")), REFUSED)],
        "8.2.1": [
            ("a space in a name", last(("a name", "a")), REFUSED),
            ("a colon in a name", last(("a:name", "a")), REFUSED),
            ("a name beyond ASCII", last(("näme", "a")), REFUSED),
            ("an empty name", last(("", "a")), REFUSED),
            ("NUL in a value", last(("a", "b\0c")), REFUSED),
            ("a line's end in a value", last(("a", "b\r\nc: d")), REFUSED),
            ("a space before a value", last(("a", " b")), REFUSED),
            ("an empty value", last(("a", "")), GOES_ON),
        ],
        "8.2.2": [
            *[(name, last((name, "x")), REFUSED) for name in HOP_BY_HOP],
            ("te other than trailers", last(("te", "trailers, gzip")), REFUSED),
            ("te: trailers", last(("te", "trailers")), GOES_ON),
        ],
        "8.3": [
            ("an unknown pseudo-header", first((":unknown", "x")), REFUSED),
            ("a response's pseudo-header", first((":status", "200")), REFUSED),
            ("an informational response's", first((":status", "100")), REFUSED),
            ("one after a regular field", last(("a", "b"), request()[3], without=":path"), REFUSED),
            *[(f"{name} twice", first((name, value)), REFUSED) for name, value in request()],
        ],
        "8.3.1": [
            *[
                (f"no {name}", last(without=name), REFUSED)
                for name in (":method", ":scheme", ":path")
            ],
            ("an empty :path", fields(IDLE, *request(path="")), REFUSED),
            ("a host that is not :authority", last(("host", "elsewhere")), REFUSED),
            (
                "a host in place of :authority",
                last(("host", "localhost"), without=":authority"),
                GOES_ON,
            ),
        ],
        "8.5": [
            ("CONNECT with :scheme", fields(IDLE, *request(method="CONNECT")), REFUSED),
        ],
    }
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_a_request_is_taken_or_its_stream_is_reset(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    async with conversation() as client:
        await judge(client, case)
        if isinstance(case.answer, StreamError):
            assert f"#{case.answer.stream_id}: sent RST_STREAM PROTOCOL_ERROR" in caplog.text
        else:
            # It was taken, not dropped in silence.
            await client.until(lambda: IDLE in client.headers or OPEN in client.ended)
