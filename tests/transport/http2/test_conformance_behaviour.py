"""RFC 9113: what a server owes a client that keeps the rules, and how it begins."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from sagemaker_bidi.transport.http2.settings import Http2Settings
from tests.transport.http2.conversation import SIBLING, conversation
from tests.transport.http2.raw_client import PREFACE, RawClient, frame, request
from tests.transport.http2.served import layer

WINDOW = SettingCodes.INITIAL_WINDOW_SIZE


@pytest.mark.parametrize(
    "opening",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="3.4 another protocol"),
        pytest.param(PREFACE[:-1] + b"!" + SettingsFrame(0).serialize(), id="3.4 one byte wrong"),
    ],
)
async def test_what_is_no_preface_ends_the_connection(
    opening: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with layer() as served, RawClient(served.port, opening) as client:
        await client.until(lambda: client.lost)

        assert "Invalid HTTP/2 preamble" in caplog.text
        assert served.streams == []


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(PingFrame(0), id="3.4 PING"),
        pytest.param(HeadersFrame(1, b"\x83\x86\x84", flags=["END_HEADERS"]), id="3.4 HEADERS"),
        pytest.param(SettingsFrame(0, flags=["ACK"]), id="3.4 an acknowledgement"),
    ],
)
async def test_the_first_frame_is_settings(first: Frame) -> None:
    async with layer() as served, RawClient(served.port, PREFACE + first.serialize()) as client:
        await client.until(lambda: client.lost)

        assert client.goaway is not None
        assert client.goaway.error_code == ErrorCodes.PROTOCOL_ERROR
        assert served.streams == []


async def test_a_preface_and_a_request_may_come_byte_by_byte() -> None:
    async with layer() as served, RawClient(served.port, b"") as client:
        head = client.headers_frame(1, request(), end=True)
        for byte in PREFACE + SettingsFrame(0).serialize() + head.serialize():
            client.send(bytes([byte]))
            await client.drained()

        assert (await client.answered(1))[":status"] == "200"


async def test_the_servers_first_frame_is_its_settings_and_comes_unasked() -> None:
    settings = Http2Settings(
        stream_window=100_000, connection_window=65_535, max_frame_size=20_000, max_streams=7
    )
    async with layer(settings) as served, RawClient(served.port, b"") as client:
        await client.until(lambda: client.frames)

        assert isinstance(client.frames[0], SettingsFrame)
        # More is granted when a stream opens: awscrt stalls where SETTINGS enlarge a window.
        assert client.settings[WINDOW] == 65_535
        assert client.settings[SettingCodes.MAX_FRAME_SIZE] == 20_000
        assert client.settings[SettingCodes.MAX_CONCURRENT_STREAMS] == 7
        assert client.settings[SettingCodes.MAX_HEADER_LIST_SIZE] == 64 * 1024


async def test_6_5_3_each_settings_frame_is_acknowledged() -> None:
    async with conversation() as client:
        before = client.acknowledged
        client.send(SettingsFrame(0, {WINDOW: 1}), SettingsFrame(0, {WINDOW: 2}))
        await client.round_trip()

        assert client.acknowledged == before + 2


async def test_6_7_a_ping_is_answered_with_its_own_data_and_an_answer_is_not() -> None:
    async with conversation() as client:
        client.send(PingFrame(0, b"unasked!", flags=["ACK"]), PingFrame(0, b"01234567"))
        await client.until(lambda: client.pings)
        await client.round_trip()

        assert client.pings[0] == b"01234567"
        assert b"unasked!" not in client.pings


async def test_6_8_a_goaway_drops_nothing_that_was_on_its_way_to_the_client() -> None:
    async with conversation() as client:
        client.send(
            SettingsFrame(0, {}),
            PingFrame(0, b"01234567"),
            GoAwayFrame(0, last_stream_id=0),
        )
        await client.until(lambda: b"01234567" in client.pings)
        await client.exchange(SIBLING)


async def test_6_8_a_client_may_open_streams_after_its_goaway() -> None:
    goaway = GoAwayFrame(0, last_stream_id=0).serialize()
    opening = PREFACE + SettingsFrame(0).serialize() + goaway
    async with layer() as served, RawClient(served.port, opening) as client:
        client.open(1)
        await client.exchange(1)
        await client.round_trip()

        assert client.goaway is None


async def test_6_9_1_the_server_sends_no_more_than_the_streams_window() -> None:
    opening = PREFACE + SettingsFrame(0, {WINDOW: 10}).serialize()
    async with layer() as served, RawClient(served.port, opening) as client:
        client.open(1, "/thousand", end=True)
        await client.until(lambda: client.body[1] >= 10)
        await client.round_trip(3)
        assert client.body[1] == 10

        client.send(WindowUpdateFrame(1, 5))
        await client.until(lambda: client.body[1] >= 15)
        await client.round_trip(3)
        assert client.body[1] == 15
        assert 1 not in client.ended


async def test_6_9_1_the_server_sends_no_more_than_the_connections_window() -> None:
    async with layer() as served, RawClient(served.port) as client:
        for stream_id in range(1, 201, 2):
            client.open(stream_id, "/thousand", end=True)
        await client.until(lambda: sum(client.body.values()) >= 65_535)
        await client.round_trip(3)
        assert sum(client.body.values()) == 65_535

        client.send(WindowUpdateFrame(0, 1_000_000))
        await client.until(lambda: len(client.ended) == 100)
        assert sum(client.body.values()) == 100_000


async def test_6_9_2_a_new_initial_window_changes_the_windows_of_open_streams() -> None:
    opening = PREFACE + SettingsFrame(0, {WINDOW: 10}).serialize()
    async with layer() as served, RawClient(served.port, opening) as client:
        client.open(1, "/thousand", end=True)
        await client.until(lambda: client.body[1] == 10)
        client.send(SettingsFrame(0, {WINDOW: 30}))
        await client.until(lambda: client.body[1] == 30)

        # 20 bytes below zero: credit counts from there.
        client.send(SettingsFrame(0, {WINDOW: 10}))
        client.send(WindowUpdateFrame(1, 20))
        await client.round_trip(3)
        assert client.body[1] == 30
        client.send(WindowUpdateFrame(1, 1))
        await client.until(lambda: client.body[1] == 31)
        client.send(WindowUpdateFrame(1, 10_000))
        await client.until(lambda: 1 in client.ended)
        assert client.body[1] == 1_000


@pytest.mark.parametrize(
    ("settings", "code", "whole"),
    [
        pytest.param(
            Http2Settings(stream_window=30_000), ErrorCodes.FLOW_CONTROL_ERROR, False, id="a stream"
        ),
        pytest.param(
            Http2Settings(connection_window=65_535),
            ErrorCodes.FLOW_CONTROL_ERROR,
            True,
            id="the connection",
        ),
    ],
)
async def test_6_9_1_data_beyond_a_window_is_a_flow_control_error(
    settings: Http2Settings, code: ErrorCodes, whole: bool
) -> None:
    size = 65_536 if whole else 30_001
    async with layer(settings) as served, RawClient(served.port) as client:
        client.open(1)
        client.open(3)
        await client.exchange(1)
        client.send(DataFrame(3, bytes(size)))
        await client.until(lambda: client.over(3))

        if whole:
            await client.until(lambda: client.lost)
            assert client.goaway is not None
            assert client.goaway.error_code == code
        else:
            assert client.resets == [(3, code)]
            await client.exchange(1)


async def test_6_9_what_a_broken_stream_sent_is_credited_to_the_connection() -> None:
    # Or 30 of them would close it for the siblings.
    settings = Http2Settings(stream_window=30_000, connection_window=65_535)
    async with layer(settings) as served, RawClient(served.port) as client:
        client.open(1)
        await client.exchange(1)
        granted = client.credits[0] + 65_535
        for stream_id in range(3, 63, 2):
            client.open(stream_id)
            client.send(DataFrame(stream_id, bytes(30_001)))
            await client.until(lambda: client.over(stream_id))  # noqa: B023
        await client.exchange(1)

        # h2 gives it back by halves of the window.
        assert client.credits[0] + 65_535 - granted > 30 * 30_001 - 65_535


async def test_6_10_a_header_block_may_come_in_many_frames() -> None:
    async with conversation() as client:
        block = client.block([*request(), ("x-long", "a" * 200)])
        parts = [block[at : at + 20] for at in range(0, len(block), 20)]
        client.send(HeadersFrame(51, parts[0], flags=["END_STREAM"]))
        for part in parts[1:]:
            client.send(ContinuationFrame(51, part))
            await client.drained()
        client.send(ContinuationFrame(51, b"", flags=["END_HEADERS"]))

        assert (await client.answered(51))[":status"] == "200"
        await client.until(lambda: 51 in client.ended)


async def test_6_5_2_the_servers_header_table_does_not_grow_with_the_clients_leave() -> None:
    # A table of 4 GiB would hold every response's id for as long as the connection lasts.
    table = SettingsFrame(0, {SettingCodes.HEADER_TABLE_SIZE: 2**32 - 1})

    async with layer() as served, RawClient(served.port, PREFACE + table.serialize()) as client:
        for stream_id in range(1, 21, 2):
            client.open(stream_id, "/end", end=True)
        await client.until(lambda: len(client.ended) == 10)
        assert {headers[":status"] for headers in client.headers.values()} == {"200"}

        # A smaller one is announced to the decoder, which judges that (RFC 7541 4.2).
        client.send(SettingsFrame(0, {SettingCodes.HEADER_TABLE_SIZE: 0}))
        await client.round_trip()
        client.open(21, "/end", end=True)
        assert (await client.answered(21))[":status"] == "200"


async def test_padding_counts_in_flow_control_and_is_not_handed_out() -> None:
    async with conversation(Http2Settings(stream_window=1_000)) as client:
        before = client.body[SIBLING]
        for _ in range(20):
            padded = frame(0, 0x8, SIBLING, b"\xff" + b"x" + bytes(255))
            client.send(padded)
            wanted = (before := before + 1)
            await client.until(lambda: client.body[SIBLING] >= wanted)  # noqa: B023

        assert client.body[SIBLING] == before
        # 257 bytes a frame (RFC 9113 6.1); what is left uncredited is below a quarter of a window.
        assert client.credits[SIBLING] > 20 * 257 - 257 - 1_000 // 4
