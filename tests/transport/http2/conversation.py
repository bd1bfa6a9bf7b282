"""A connection with one stream in each state of RFC 9113 5.1, to break the rules on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, Frame, RstStreamFrame

from sagemaker_bidi.transport.http2.settings import Http2Settings
from tests.transport.http2.raw_client import RawClient
from tests.transport.http2.served import layer

# Streams of a conversation, by what they are when a case begins.
SIBLING = 1
OPEN = 3
HALF_CLOSED = 5
CLOSED = 7
RESET_BY_CLIENT = 9
OVER = 11
SKIPPED = 13
LAST = 15
IDLE = 17
LATER = 101


@asynccontextmanager
async def conversation(settings: Http2Settings | None = None) -> AsyncIterator[RawClient]:
    """A client whose streams are in the states above; `SKIPPED` was never used.

    `OPEN` and `SIBLING` echo; `HALF_CLOSED` has a response that does not end; `OVER` had its
    whole response and was then reset by the server, since its request went on (RFC 9113 8.1).
    """
    async with layer(settings) as served, RawClient(served.port) as client:
        for stream_id in (SIBLING, OPEN):
            client.open(stream_id)
            await client.exchange(stream_id)
        client.open(HALF_CLOSED, "/hold", end=True)
        client.open(CLOSED, "/end", end=True)
        client.open(RESET_BY_CLIENT, "/hold")
        await client.answered(RESET_BY_CLIENT)
        client.send(RstStreamFrame(RESET_BY_CLIENT, ErrorCodes.CANCEL))
        client.open(OVER, "/end")
        client.open(LAST)
        await client.until(lambda: CLOSED in client.ended and client.reset(OVER) is not None)
        await client.exchange(LAST)
        client.resets.clear()
        yield client


type Sent = Callable[[RawClient], Frame | bytes | list[Frame | bytes]]


@dataclass(frozen=True)
class StreamError:
    """RST_STREAM for this stream with this code; the others go on (RFC 9113 5.4.2)."""

    stream_id: int
    code: ErrorCodes


@dataclass(frozen=True)
class ConnectionError_:
    """GOAWAY with this code, and the end of the connection (RFC 9113 5.4.1)."""

    code: ErrorCodes


@dataclass(frozen=True)
class Ignored:
    """Nothing comes of it."""


@dataclass(frozen=True)
class Case:
    """What a client sends and what has to come of it.

    Args:
        section: of RFC 9113, unless it names another.
        title: what the client does.
        sent: the bytes or frames, from the client whose encoder makes header blocks.
        answer: what has to come back.
    """

    section: str
    title: str
    sent: Sent
    answer: StreamError | ConnectionError_ | Ignored

    @property
    def id(self) -> str:
        return f"{self.section} {self.title}"


type Row = tuple[str, Sent, StreamError | ConnectionError_ | Ignored]

PROTOCOL = ConnectionError_(ErrorCodes.PROTOCOL_ERROR)
SIZE = ConnectionError_(ErrorCodes.FRAME_SIZE_ERROR)
COMPRESSION = ConnectionError_(ErrorCodes.COMPRESSION_ERROR)
FLOW = ConnectionError_(ErrorCodes.FLOW_CONTROL_ERROR)
GOES_ON = Ignored()


def table(rows: dict[str, list[Row]]) -> list[Case]:
    """Cases by their section; no title may be there twice."""
    cases = [Case(section, *row) for section, found in rows.items() for row in found]
    assert len({case.id for case in cases}) == len(cases)
    return cases


async def judge(client: RawClient, case: Case) -> None:
    """Send what a case sends, and hold the server to its answer."""
    sent = case.sent(client)
    client.send(*(sent if isinstance(sent, list) else [sent]))
    match case.answer:
        case ConnectionError_(code):
            await client.until(lambda: client.lost)
            assert client.goaway is not None, f"no GOAWAY; resets: {client.resets}"
            assert ErrorCodes(client.goaway.error_code) is code
            assert client.resets == []
        case StreamError(stream_id, code):
            await client.until(lambda: client.reset(stream_id) is not None or client.lost)
            await the_others_go_on(client)
            assert client.resets == [(stream_id, code)]
        case Ignored():
            await the_others_go_on(client)
            assert client.resets == []


async def the_others_go_on(client: RawClient) -> None:
    """A sibling echoes, a new request is answered, and no GOAWAY has come."""
    await client.exchange(SIBLING)
    client.send(client.headers_frame(LATER, [*request_fields(), ("x-later", "again")]))
    assert (await client.answered(LATER))[":status"] == "200"
    client.send(DataFrame(LATER, b"", flags=["END_STREAM"]))
    await client.until(lambda: LATER in client.ended)
    assert client.goaway is None


def request_fields() -> list[tuple[str, str]]:
    """Fields that leave entries in the tables of both sides: a later block needs them in step."""
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/echo"),
        ("x-table", "kept in step"),
    ]
