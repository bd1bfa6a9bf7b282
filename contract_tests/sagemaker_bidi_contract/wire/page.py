"""A plain HTTP GET, to time `/ping` to the end of its answer (K4)."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

from sagemaker_bidi_contract.exchange import ExchangeLog, milliseconds
from sagemaker_bidi_contract.options import ContainerTarget

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


@dataclass(frozen=True, slots=True)
class Page:
    """What a GET brought.

    Args:
        status: None where none came in time, or what came is no HTTP.
        seconds: until the status line, or until it was given up.
        how: in words.
    """

    status: int | None
    seconds: float
    how: str


async def get(target: ContainerTarget, path: str, within: float, log: ExchangeLog) -> Page:
    """GET a page and read the status of the answer.

    Args:
        target: where the container is.
        path: with its leading slash.
        within: seconds to wait.
        log: where it is written down.
    """
    log.add(path, "sent", f"GET {path}")
    started = time.perf_counter()
    status: int | None = None
    try:
        async with asyncio.timeout(within):
            status = await _status(target, path)
        how = "no HTTP" if status is None else f"HTTP {status}"
    except TimeoutError:
        how = "no answer"
    except OSError as error:
        how = f"no answer ({error.strerror or type(error).__name__})"
    seconds = time.perf_counter() - started
    how = f"{how} after {milliseconds(seconds)}"
    log.add(path, "received", how)
    return Page(status, seconds, how)


async def _status(target: ContainerTarget, path: str) -> int | None:
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: {target.address}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        await writer.drain()
        found = _STATUS.match(await reader.readline())
        return None if found is None else int(found[1])
    finally:
        writer.transport.abort()
