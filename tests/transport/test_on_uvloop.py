"""What uvloop does otherwise than asyncio's own event loop, and must not be seen."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypercorn.config import Config as HypercornConfig

from tests.transport.world import world

uvloop = pytest.importorskip("uvloop")


def test_hypercorns_patience_with_connections_does_not_cut_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hypercorns = 0.05
    monkeypatch.setattr(HypercornConfig, "graceful_timeout", hypercorns)

    async def stop_with_a_session() -> None:
        async with world() as w:
            stream = await w.client.open()
            await w.exchange(stream)
            stopping = asyncio.create_task(w.emulator.stop(grace=3_600.0))
            await w.client.until(lambda: w.client.goaway is not None)
            until = time.monotonic() + 10 * hypercorns
            while time.monotonic() < until:
                await w.exchange(stream)
            await stream.close_input()
            assert await stream.receive() is None
            await stopping

    uvloop.run(stop_with_a_session())
