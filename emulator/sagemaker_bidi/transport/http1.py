"""A client that negotiated no HTTP/2 gets an answer that it can read."""

from __future__ import annotations

import asyncio
import contextlib

from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.transport.tls import HTTP_1, http1_answer

logger = logger_named("bidi.tls")

HEAD_BYTES = 16 * 1024
HEAD_SECONDS = 5.0


async def refuse_http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wait for the request's head, answer it with 400 and the reason, and close."""
    logger.warning("a connection was refused: %s", HTTP_1)
    with contextlib.suppress(
        OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
    ):
        async with asyncio.timeout(HEAD_SECONDS):
            await reader.readuntil(b"\r\n\r\n")
    with contextlib.suppress(OSError):
        writer.write(http1_answer(HTTP_1))
        await writer.drain()
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
    writer.transport.abort()
