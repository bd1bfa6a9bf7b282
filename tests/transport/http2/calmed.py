"""What a client meets that went over a limit."""

from __future__ import annotations

import asyncio

import pytest
from h2.errors import ErrorCodes

from sagemaker_bidi import ManualClock
from tests.transport.http2.raw_client import RawClient
from tests.transport.lean_client import LIMIT_SECONDS


async def calmed(client: RawClient, caplog: pytest.LogCaptureFixture, setting: str) -> None:
    """The connection ends with ENHANCE_YOUR_CALM, and the log names the setting."""
    await client.until(lambda: client.lost)
    assert client.goaway is not None
    assert client.goaway.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    (line,) = [r.getMessage() for r in caplog.records if "connection ended with" in r.getMessage()]
    assert f"(http2.{setting})" in line
    assert line.startswith("127.0.0.1:")


async def drive_until_lost(client: RawClient, clock: ManualClock) -> float:
    """Let time pass until the connection has ended; gives the seconds that it took."""
    began = clock.now()
    async with asyncio.timeout(LIMIT_SECONDS):
        while not client.lost:
            await clock.advance(0.5)
            await asyncio.sleep(0)
    return clock.now() - began
