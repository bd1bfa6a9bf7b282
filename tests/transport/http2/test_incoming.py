"""The reading half of a connection in silence: what it keeps, and that it loses nothing."""

from __future__ import annotations

import asyncio
import socket

from sagemaker_bidi import ManualClock
from sagemaker_bidi.transport.http2.incoming import READ_SIZE, Incoming

KEPT = 2 * READ_SIZE


async def test_in_silence_only_so_much_is_kept_and_the_rest_waits_where_it_is() -> None:
    sent = bytes(20 * READ_SIZE)
    reader = asyncio.StreamReader()
    with socket.socket() as sock:
        incoming = Incoming(reader, sock, ManualClock(), 10.0, KEPT)
        incoming.go_silent(True)
        reader.feed_data(sent)
        reader.feed_eof()
        reading = asyncio.create_task(incoming.read(None))
        for _ in range(1_000):  # Many times what it takes to read all of it.
            await asyncio.sleep(0)
        assert not reading.done()

        incoming.go_silent(False)
        kept = await reading
        # What came as the silence began is not counted.
        assert len(kept) <= READ_SIZE + KEPT
        rest = []
        while data := await incoming.read(None):
            rest.append(data)
    assert kept + b"".join(rest) == sent
