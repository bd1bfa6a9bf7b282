"""The two peers of a bridge under test: stand-ins for vLLM, and SageMaker's side."""

import asyncio
import base64
import hashlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close

from sagemaker_bidi_bridge import SessionEnd, Settings
from sagemaker_bidi_bridge.observe import Kind, Side

DATA_PATH = "/invocations-bidirectional-stream"
LIMIT_SECONDS = 20  # a bound for tests that would otherwise hang, never a wait

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def vllm(
    handler: Callable[[ServerConnection], Awaitable[None]], **options: Any
) -> AsyncIterator[str]:
    """A WebSocket server in vLLM's place; gives its URL."""
    options = {"compression": None, "max_size": None, "ping_interval": None, **options}
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime"


@asynccontextmanager
async def raw_tcp(handler: Streams) -> AsyncIterator[int]:
    """A TCP server; gives its port. Connections that it leaves open are cut at the end."""
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await handler(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


@asynccontextmanager
async def raw_vllm(handler: Streams) -> AsyncIterator[str]:
    """A TCP server that does the opening handshake and leaves the rest to the handler."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + _GUID.encode()).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        await handler(reader, writer)

    async with raw_tcp(handle) as port:
        yield f"ws://127.0.0.1:{port}/v1/realtime"


def settings_for(url: str, **values: Any) -> Settings:
    """A bridge's settings for a test: a free port, and time enough for a slow machine to open."""
    values = {"open_timeout_ms": 5_000, **values}
    return Settings(backend_url=url, host="127.0.0.1", port=0, **values)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a TCP connection with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def sagemaker(bridge_url: str, path: str = DATA_PATH, **options: Any) -> connect:
    """SageMaker's side of a session: connects as SageMaker does, without compression."""
    options = {"compression": None, "max_size": None, "ping_interval": None, **options}
    return connect(bridge_url + path, proxy=None, **options)


def frames_of_client(payload: bytes, count: int) -> bytes:
    """A small text frame, masked with zeros, many times (RFC 6455, 5.2)."""
    return (bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload) * count


def unmasked(frame: bytes) -> bytes:
    """The payload of one small masked frame."""
    mask, payload = frame[2:6], frame[6:]
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


async def closed_with(connection: ClientConnection | ServerConnection) -> Close | None:
    """Read to the end and return the peer's Close frame, or None where TCP ended without one."""
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                await connection.recv()
    except ConnectionClosed as end:
        return end.rcvd


async def echo(connection: ServerConnection) -> None:
    """A model that answers every message with itself."""
    async for message in connection:
        await connection.send(message)


async def send_all(connection: ClientConnection | ServerConnection, message: bytes, n: int) -> None:
    """Send one message many times."""
    for _ in range(n):
        await connection.send(message)


@dataclass
class Watcher:
    """An observer that keeps what it was told, and says when the session has ended."""

    events: list[tuple[str, Side, int, Kind]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    _ended: "asyncio.Queue[SessionEnd]" = field(default_factory=asyncio.Queue)
    on_event: Callable[[], None] = lambda: None

    def __call__(self, session_id: str) -> "Watcher":
        self.ids.append(session_id)
        return self

    def received(self, side: Side, size_bytes: int, kind: Kind) -> None:
        self.events.append(("received", side, size_bytes, kind))
        self.on_event()

    def sent(self, side: Side, size_bytes: int, kind: Kind) -> None:
        self.events.append(("sent", side, size_bytes, kind))
        self.on_event()

    def ended(self, end: SessionEnd) -> None:
        self._ended.put_nowait(end)

    async def end(self) -> SessionEnd:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self._ended.get()

    def count(self, what: str, side: Side) -> int:
        return sum(1 for event in self.events if event[:2] == (what, side))
