"""What becomes of a client's input after its response is complete (E8)."""

from __future__ import annotations

import asyncio

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.settings import ContractSettings
from sagemaker_bidi.transport.http2.stream import Stream


async def drain(
    stream: Stream, settings: ContractSettings, clock: Clock, stopping: asyncio.Event
) -> None:
    """Take and throw away what the client still sends, until it has closed its input (E8).

    A reset instead would tell an SDK of its refusal at once, where the real service leaves it
    waiting, and would leave one that goes on sending waiting for ever.

    Args:
        stream: its response is queued to its end.
        settings: `idle_seconds` without a byte, or `lifetime` in all, end it too.
        clock: what those are measured by.
        stopping: set when the emulator stops, and waits for nobody's input.
    """
    await stream.flushed()
    waits = [
        asyncio.create_task(stream.input_over()),
        asyncio.create_task(stopping.wait()),
        asyncio.create_task(_patience(stream, settings, clock)),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _patience(stream: Stream, settings: ContractSettings, clock: Clock) -> None:
    longest = clock.now() + settings.lifetime
    while clock.now() < longest:
        seen = stream.discarded
        await clock.sleep_until(min(longest, clock.now() + settings.idle_seconds))
        if stream.discarded == seen:
            return
