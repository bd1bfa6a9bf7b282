"""Sends on after the session has ended, on any release; then calls an endpoint that refuses.

Prints one JSON line: whether `send()` hung, and what a refusal's `await_output()` showed while the
input was open and after it was closed. A pending call is never cancelled, as the SDK's traps ask.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "scenarios"))

from aws_sdk_sagemaker_runtime_http2.models import (
    InvokeEndpointWithBidirectionalStreamInput,
)
from observer import make_client, part  # type: ignore[import-not-found]

PATIENCE = 3.0
PART_BYTES = 32_000


async def invoke(client: Any, endpoint: str) -> Any:
    """Open a stream; its response is not waited for."""
    return await client.invoke_endpoint_with_bidirectional_stream(
        InvokeEndpointWithBidirectionalStreamInput(endpoint_name=endpoint)
    )


async def shown(task: asyncio.Future[Any]) -> str | None:
    """What a call shows within the patience; None for nothing."""
    await asyncio.wait({task}, timeout=PATIENCE)
    if not task.done():
        return None
    error = task.exception()
    return type(error).__name__ if error else "a result"


async def send_on(client: Any, parts: int) -> int:
    """Send, and go on after the container has ended the session; gives the parts that went."""
    duplex, sent = await invoke(client, "ending"), 0

    async def send_all() -> None:
        nonlocal sent
        for _ in range(parts):
            await duplex.input_stream.send(part(PART_BYTES))
            sent += 1

    sending = asyncio.ensure_future(send_all())
    await asyncio.wait({sending}, timeout=5 * PATIENCE)
    return sent


async def main(url: str, parts: int) -> None:
    """Do both, and print what was seen."""
    client = await make_client(url)
    sent = await send_on(client, parts)
    refused = await invoke(client, "refusing")
    waiting = asyncio.ensure_future(refused.await_output())
    report = {"sent": sent, "open": await shown(waiting)}
    closing = asyncio.ensure_future(refused.input_stream.close())
    report["closed"] = await shown(waiting)
    print(json.dumps(report), flush=True)
    # Threads and calls that the SDK never ends must not hold the process.
    del closing
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
