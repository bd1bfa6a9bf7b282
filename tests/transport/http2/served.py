"""The HTTP/2 layer by itself, behind a plain socket, with applications that a test asks for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sagemaker_bidi import Clock, RealClock
from sagemaker_bidi.transport.http2.connection import Connection
from sagemaker_bidi.transport.http2.settings import Http2Settings
from sagemaker_bidi.transport.http2.stream import Stream
from tests.transport.lean_client import LIMIT_SECONDS

type App = Callable[[Stream], Awaitable[None]]


async def echo(stream: Stream) -> None:
    """Send back what comes, and end when the request does."""
    stream.send_headers(200, [])
    while (data := await stream.receive()) is not None:
        stream.send(data)
        await stream.drain()
    stream.end()


async def hold(stream: Stream) -> None:
    """Begin a response, and neither read nor write after that."""
    stream.send_headers(200, [])
    raise await stream.gone()


async def end(stream: Stream) -> None:
    """A whole response, whatever becomes of the request."""
    stream.send_headers(200, [])
    stream.end()


async def thousand(stream: Stream) -> None:
    """A response of 1,000 bytes."""
    stream.send_headers(200, [])
    stream.send(bytes(1_000))
    stream.end()


APPS: dict[str, App] = {"/echo": echo, "/hold": hold, "/end": end, "/thousand": thousand}


@dataclass
class Served:
    """A running layer.

    Args:
        port: where it listens.
        connections: tasks that serve a connection now.
        streams: every request that reached an application.
        arrived: set by the first of them.
    """

    port: int = 0
    connections: set[asyncio.Task[None]] = field(default_factory=set)
    streams: list[Stream] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def all_connections_ended(self) -> None:
        """Wait until every connection's task has returned."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while self.connections:
                await asyncio.wait(self.connections)


@asynccontextmanager
async def layer(
    settings: Http2Settings | None = None,
    *,
    clock: Clock | None = None,
    app: App | None = None,
    system_buffer: int | None = None,
) -> AsyncIterator[Served]:
    """Serve HTTP/2 with no TLS.

    Args:
        settings: the defaults unless given.
        clock: measures the clients; the wall's unless given.
        app: answers every request; unless given the path names one of `APPS`.
        system_buffer: bytes that the system may hold for a client; its own choice unless given.
    """
    served = Served()
    stopping = asyncio.Event()

    async def answer(stream: Stream) -> None:
        served.streams.append(stream)
        served.arrived.set()
        chosen = app or APPS[dict(stream.headers)[":path"]]
        await chosen(stream)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.connections.add(task)
        try:
            await Connection(
                reader, writer, settings or Http2Settings(), answer, stopping, clock or RealClock()
            ).run()
        finally:
            served.connections.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    if system_buffer is not None:
        server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, system_buffer)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        await served.all_connections_ended()
        await server.wait_closed()
