"""Sessions through the real AWS SDK, as applications use it."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from aws_sdk_sagemaker_runtime_http2.client import AsyncSageMakerRuntimeHTTP2Client
from aws_sdk_sagemaker_runtime_http2.config import AsyncSageMakerRuntimeHTTP2Config
from aws_sdk_sagemaker_runtime_http2.models import (
    InvokeEndpointWithBidirectionalStreamInput,
    RequestPayloadPart,
    RequestStreamEventPayloadPart,
    ResponseStreamEventPayloadPart,
)
from smithy_http.aio.crt import AWSCRTHTTPClient

from benchmarks.load.payloads import Payload
from benchmarks.load.routes import ENDPOINT, Target
from benchmarks.load.session import Base, LoadSession
from benchmarks.load.signing import REGION


class SdkSession(Base):
    """One stream of the SDK's; trust and credentials come from the environment."""

    def __init__(self, duplex: Any) -> None:
        super().__init__()
        self._duplex = duplex
        self._prepared: Payload
        # The SDK signs first and waits for room then: two sends at once could swap places.
        self._outbox: asyncio.Queue[Payload] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._receive())]

    def prepare(self, payload: Payload) -> None:
        """See `LoadSession.prepare`; the SDK does all its work in `send`."""
        self._prepared = payload

    def send(self) -> None:
        """See `LoadSession.send`."""
        self._outbox.put_nowait(self._prepared)

    async def _send(self) -> None:
        try:
            while True:
                payload = await self._outbox.get()
                part = RequestPayloadPart(
                    bytes_=payload.text, data_type="UTF8", completion_state="COMPLETE"
                )
                await self._duplex.input_stream.send(RequestStreamEventPayloadPart(value=part))
        except Exception as error:
            self.lost(f"sending failed: {error!r}")

    async def _receive(self) -> None:
        try:
            _, output = await self._duplex.await_output()
            self.opened.set_result(None)
            while (event := await output.receive()) is not None:
                at = perf_counter()
                if isinstance(event, ResponseStreamEventPayloadPart):
                    self.taken(event.value.bytes_ or b"", at)
            self.lost("the stream ended")
        except Exception as error:
            self.lost(f"receiving failed: {error!r}")


async def open_sdk_sessions(target: Target, count: int) -> list[LoadSession]:
    """Open `count` sessions, `target.per_connection` with each client object.

    Raises:
        SessionLost: a session did not open.
    """
    sessions: list[LoadSession] = []
    client: AsyncSageMakerRuntimeHTTP2Client
    for number in range(count):
        if number % target.per_connection == 0:
            config = await AsyncSageMakerRuntimeHTTP2Config.resolve(
                endpoint_uri=target.url, region=REGION, transport=AWSCRTHTTPClient()
            )
            client = AsyncSageMakerRuntimeHTTP2Client(config=config)
        session = SdkSession(
            await client.invoke_endpoint_with_bidirectional_stream(
                InvokeEndpointWithBidirectionalStreamInput(endpoint_name=ENDPOINT)
            )
        )
        await session.opened
        sessions.append(session)
    return sessions
