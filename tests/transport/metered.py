"""A container that meters its sessions on a metadata stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from websockets.frames import Close, Opcode

from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.echo import echo
from sagemaker_bidi_fixtures.containers.server import DATA_PATH, Accept, FrameServer
from tests.transport.lean_client import LIMIT_SECONDS, LeanStream
from tests.transport.world import World

SUPPORTED = ("X-Amzn-SageMaker-Metadata-Stream-Supported", "true")
REQUIRED = ("X-Amzn-SageMaker-Metadata-Stream-Required", "true")
PATH = "X-Amzn-SageMaker-Metadata-Invocation-Path"
DEFAULT_PATH = "/invocations-bidirectional-stream-metadata"
REQUEST_ID = "X-Amzn-SageMaker-Request-Id"


def usage(units: object = 1, token: object = "t", dimension: object = "minutes") -> bytes:
    fields = {"Dimension": dimension, "ConsumedUnits": units, "ClientToken": token}
    return json.dumps({"Metering": fields}).encode()


class MeteredContainer(FrameServer):
    """An echo container that offers a metadata stream.

    Args:
        headers: of every upgrade's response.
        paths: of the metadata stream.
        metadata: how the metadata stream's upgrade is answered; as the data stream's unless given.
        reads: set when the metadata stream may be read, and its Close answered; from the start
            unless given.
    """

    def __init__(
        self,
        *headers: tuple[str, str],
        paths: tuple[str, ...] = (DEFAULT_PATH,),
        metadata: Accept | None = None,
        reads: asyncio.Event | None = None,
    ) -> None:
        super().__init__(
            self._serve_socket,
            port=0,
            paths=(DATA_PATH, *paths),
            accept=Accept(headers=headers),
            wait=self._hold,
        )
        self.sockets: list[FrameSocket] = []
        self.held = asyncio.Event()
        self._opened = asyncio.Event()
        self._data_ended = asyncio.Event()
        self._metadata = metadata
        self._reads = reads

    async def _serve_socket(self, connection: FrameSocket) -> None:
        self.sockets.append(connection)
        self._opened.set()
        self.accept = self._metadata or self.accept
        if connection is not self.data:
            if self._reads is not None:
                await self._reads.wait()
            await echo(connection)
            return
        try:
            await echo(connection)
        finally:
            self._data_ended.set()

    async def _hold(self, seconds: float) -> None:
        if seconds:
            self.held.set()
            await asyncio.Event().wait()

    @property
    def data(self) -> FrameSocket:
        return self.sockets[0]

    @property
    def metadata(self) -> FrameSocket:
        return self.sockets[1]

    async def metadata_opened(self) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(self.sockets) < 2:
                self._opened.clear()
                await self._opened.wait()

    async def data_ended(self) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._data_ended.wait()

    async def report(self, *payloads: bytes, opcode: Opcode = Opcode.TEXT) -> None:
        """Send metering frames and wait until the emulator has dealt with them."""
        await self.metadata_opened()
        for payload in payloads:
            await self.metadata.send(opcode, payload)
        # It answers a ping after it has read what came before.
        pongs = self._count(Opcode.PONG)
        await self.metadata.send(Opcode.PING, b"")
        await self._until(lambda: self._count(Opcode.PONG) > pongs)

    async def closed_with(self, code: int, reason: str) -> None:
        """Wait for a Close frame on either WebSocket."""
        wanted = Close(code, reason).serialize()
        await self._until(
            lambda: any(
                frame.opcode is Opcode.CLOSE and frame.payload == wanted for frame in self.frames
            )
        )

    def _count(self, opcode: Opcode) -> int:
        return sum(frame.opcode is opcode for frame in self.frames)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS), self.seen.changed:
            await self.seen.changed.wait_for(condition)


async def opened(w: World) -> LeanStream:
    stream = await (await w.client.open()).opened()
    assert stream.status == 200
    return stream


async def echoed(stream: LeanStream) -> bool:
    await stream.send(b"hello")
    event = await stream.receive()
    return event is not None and event.message.payload == b"hello"


def told(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [line for record in caplog.records if words in (line := record.getMessage())]


async def send_close(connection: FrameSocket, code: int) -> None:
    """Send a Close frame; what reads the connection sees the answer to it."""
    await connection.send(Opcode.CLOSE, Close(code, "").serialize())
