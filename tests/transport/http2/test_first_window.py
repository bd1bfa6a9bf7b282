"""A stream's window begins as the protocol's own and grows by WINDOW_UPDATE (RFC 9113 6.9.2).

A client may have used it up before it sees any SETTINGS. awscrt does not resume a stream that
waits for a window when SETTINGS enlarge it, only when WINDOW_UPDATE does.
"""

from __future__ import annotations

from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, SettingsFrame

from sagemaker_bidi.transport.http2.settings import Http2Settings
from tests.transport.http2.raw_client import PREFACE, RawClient, request
from tests.transport.http2.served import layer

FIRST = 65_535
WINDOW = SettingCodes.INITIAL_WINDOW_SIZE


async def test_what_is_more_than_the_first_window_is_granted_when_the_stream_opens() -> None:
    async with (
        layer(Http2Settings(stream_window=1_000_000)) as served,
        RawClient(served.port) as client,
    ):
        client.open(1, "/hold")
        await client.answered(1)

        assert client.settings[WINDOW] == FIRST
        assert FIRST + client.credits[1] == 1_000_000


async def test_a_window_below_the_first_one_binds_the_client_once_it_has_acknowledged() -> None:
    async with (
        layer(Http2Settings(stream_window=10_000)) as served,
        RawClient(served.port, b"") as client,
    ):
        # All of the first window at once: more than is announced, and no error of the client.
        client.send(PREFACE, SettingsFrame(0), client.headers_frame(1, request()))
        client.send(*(DataFrame(1, bytes(13_107)) for _ in range(5)))
        await client.until(lambda: client.body[1] == FIRST)
        await client.round_trip(2)
        assert client.settings[WINDOW] == 10_000
        assert client.resets == []

        client.open(3, "/hold")
        client.send(DataFrame(3, bytes(10_001)))
        await client.until(lambda: client.reset(3) is not None)
        assert client.credits[3] == 0
