"""Hypercorn as the server of 8443, with our HTTP/2 layer in place of its own.

Hypercorn keeps the sockets, TLS and ALPN, the lifespan and the stop. Its stream layer does not
survive this traffic: client data after the end of a response kills the whole connection, one
unread session blocks its siblings, and ASGI has no words for a reset or a withheld window. The
seam is one name, `hypercorn.asyncio.run.TCPServer`, replaced by a function that looks at the
configuration: other Hypercorn servers in the same process are served as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import weakref
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Protocol, cast

import hypercorn.asyncio.run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config, Sockets


class ConnectionHandler(Protocol):
    """Serves one accepted connection until it ends."""

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None: ...


class StreamServerConfig(Config):
    """A Hypercorn configuration whose connections go to `handler` instead of an ASGI app.

    Args:
        handler: serves each connection after its TLS handshake.
        tls: the server's TLS context.
    """

    def __init__(self, handler: ConnectionHandler, tls: ssl.SSLContext) -> None:
        self.handler = handler
        self._tls = tls
        self._listeners: list[_Listener] = []
        # Hypercorn's own bound for connections at the stop, 3 s: `Emulator.stop` has its own.
        self.graceful_timeout = None  # type: ignore[assignment]
        self.errorlog = None
        self.accesslog = None
        # awscrt waits 10 to 30 s before it reports a certificate that it does not trust.
        self.ssl_handshake_timeout = 5.0

    @property
    def ssl_enabled(self) -> bool:
        """Always: the port speaks TLS only (W1)."""
        return True

    def create_ssl_context(self) -> ssl.SSLContext:
        """The context handed in."""
        return self._tls

    def create_sockets(self) -> Sockets:
        """The listening sockets, which remember whom they accepted."""
        bound = super().create_sockets().secure_sockets
        self._listeners = [_Listener(fileno=listener.detach()) for listener in bound]
        return Sockets([*self._listeners], [], [])

    def abort(self) -> None:
        """End every connection that is left, those within their TLS handshake too."""
        for listener in self._listeners:
            for accepted in listener.accepted:
                with contextlib.suppress(OSError):
                    accepted.shutdown(socket.SHUT_RDWR)


class _Listener(socket.socket):
    # asyncio hands out no connection before the end of its TLS handshake, and a client that never
    # ends it would hold up the server's stop.
    def __init__(self, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self.setblocking(False)
        self.accepted: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        accepted, address = super().accept()
        self.accepted.add(accepted)
        return accepted, address


class _Served:
    """What Hypercorn awaits for each connection."""

    def __init__(self, served: Awaitable[None]) -> None:
        self._served = served

    def __await__(self) -> Generator[Any, None, None]:
        return self._served.__await__()


def _tcp_server(
    app: Any,
    loop: Any,
    config: Config,
    context: Any,
    state: Any,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> Awaitable[None]:
    if isinstance(config, StreamServerConfig):
        return _Served(config.handler(reader, writer))
    return _Served(TCPServer(app, loop, config, context, state, reader, writer).run())


async def _lifespan_only(
    scope: Any,
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
    sync_spawn: Callable[..., Any],
    call_soon: Callable[..., Any],
) -> None:
    if scope["type"] != "lifespan":
        raise RuntimeError(f"no ASGI request reaches this server, yet one did: {scope['type']}")
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def serve(config: StreamServerConfig, stop: Callable[[], Awaitable[Any]]) -> None:
    """Run Hypercorn until `stop()` returns and every connection has ended.

    Args:
        config: where to listen (`bind`, `fd://N` included), handler and TLS.
        stop: awaited; its return begins the stop.
    """
    # mypy: the module does not export the name that it looks up.
    cast(Any, hypercorn.asyncio.run).TCPServer = _tcp_server
    await hypercorn.asyncio.run.worker_serve(_lifespan_only, config, shutdown_trigger=stop)
