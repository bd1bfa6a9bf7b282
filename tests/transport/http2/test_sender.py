"""What the writing half of a connection makes of a transport that is closing."""

from __future__ import annotations

import asyncio
from typing import cast

from sagemaker_bidi.transport.http2.sender import Sender
from sagemaker_bidi.transport.http2.settings import Http2Settings
from sagemaker_bidi.transport.http2.state import ServerState


class _ClosedTwice:
    """asyncio's TLS transport once it has been closed and aborted: it has let go of everything."""

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        raise AttributeError("'NoneType' object has no attribute '_get_write_buffer_size'")


class _Writer:
    transport = _ClosedTwice()


async def test_a_transport_that_is_closed_has_nothing_unread() -> None:
    writer = cast(asyncio.StreamWriter, _Writer())
    sender = Sender(writer, ServerState(Http2Settings()), buffer=1_000)
    assert sender.unread < 0
