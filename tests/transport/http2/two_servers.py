"""One application on two servers: on our HTTP/2 layer, and on Hypercorn's own as it comes."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import hypercorn.asyncio
from h2.errors import ErrorCodes
from hypercorn.config import Config

from sagemaker_bidi.transport.http2.settings import Http2Settings
from sagemaker_bidi.transport.http2.stream import Stream
from tests.transport.http2.served import layer


class Exchange(Protocol):
    """A request and its response, as an application sees them."""

    path: str

    async def begin(self) -> None:
        """Send the response's headers."""

    async def read(self) -> bytes | None:
        """The next bytes of the request; None at its end. Raises where the client is gone."""

    async def write(self, data: bytes) -> None:
        """Send bytes of the response."""

    async def end(self) -> None:
        """End the response."""

    async def command(self, what: str) -> None:
        """`reset`, `goaway`, `withhold` or `abort`."""


@dataclass
class Stage:
    """What a test and the application tell each other."""

    port: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    taken: int = 0


class Bug(Exception):
    """What an application raises that has one."""


class Gone(Exception):
    """The client or its connection is gone."""


async def application(exchange: Exchange, stage: Stage) -> None:
    """What each path does."""
    await exchange.begin()
    match exchange.path.removeprefix("/"):
        case "end":
            await exchange.end()
        case "stall":
            await stage.released.wait()
            while await exchange.read() is not None:
                pass
            await exchange.end()
        case "raise":
            await exchange.write(b"partial")
            stage.done.set()
            raise Bug("in the middle of a response")
        case "echo":
            while (data := await exchange.read()) is not None:
                await exchange.write(data)
            await exchange.end()
        case "withhold":
            await exchange.command("withhold")
            while (data := await exchange.read()) is not None:
                stage.taken += len(data)
        case command:
            try:
                await exchange.command(command)
            finally:
                stage.done.set()
            while await exchange.read() is not None:
                pass


class _OnOurs:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.path = dict(stream.headers)[":path"]

    async def begin(self) -> None:
        self._stream.send_headers(200, [])

    async def read(self) -> bytes | None:
        return await self._stream.receive()

    async def write(self, data: bytes) -> None:
        self._stream.send(data)
        await self._stream.drain()

    async def end(self) -> None:
        self._stream.end()

    async def command(self, what: str) -> None:
        match what:
            case "reset":
                self._stream.reset(ErrorCodes.CANCEL)
            case "goaway":
                self._stream.goaway(ErrorCodes.ENHANCE_YOUR_CALM)
            case "withhold":
                self._stream.withhold()
            case "abort":
                self._stream.abort_connection()


class _OnAsgi:
    def __init__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[..., Awaitable[None]],
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self.path = scope["path"]

    async def begin(self) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": []})

    async def read(self) -> bytes | None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Gone
        if not message["more_body"]:
            return None
        body: bytes = message["body"]
        return body

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def command(self, what: str) -> None:
        # ASGI has no word for any of them. An extension would be announced here.
        extension = f"http.response.{what}"
        if extension in self._scope["extensions"]:
            await self._send({"type": extension, "error_code": int(ErrorCodes.CANCEL)})


@asynccontextmanager
async def ours() -> AsyncIterator[Stage]:
    """Our layer, with windows of the protocol's own size for a session."""
    stage = Stage()

    async def answer(stream: Stream) -> None:
        await application(_OnOurs(stream), stage)

    async with layer(Http2Settings(stream_window=65_535), app=answer) as served:
        stage.port = served.port
        yield stage


@asynccontextmanager
async def hypercorns() -> AsyncIterator[Stage]:
    """Hypercorn with its defaults, but for the address and where its log goes."""
    stage = Stage()
    stopped = asyncio.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    stage.port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = None

    async def app(
        scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[..., Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        await application(_OnAsgi(scope, receive, send), stage)

    serving = asyncio.create_task(
        hypercorn.asyncio.serve(app, config, shutdown_trigger=stopped.wait, mode="asgi")
    )
    try:
        yield stage
    finally:
        stage.released.set()
        stopped.set()
        await serving
        gc.collect()


type Server = Callable[[], AbstractAsyncContextManager[Stage]]
