"""The suite in the model server's place: a backend that does what a check tells it to.

A bridge that is told to use its address can be shown a dead model server, a slow one, one that
dies in mid-stream, and all the rest that a real one does on its bad days.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from sagemaker_bidi_contract.exchange import ExchangeLog
from sagemaker_bidi_contract.options import BackendAddress, TargetError
from sagemaker_bidi_contract.verdicts import Unmet
from sagemaker_bidi_contract.wire.received import End
from sagemaker_bidi_contract.wire.stream import DATA, FrameStream
from sagemaker_bidi_fixtures.containers.frames import ServerSide


async def echo(stream: FrameStream) -> None:
    """Send every data frame back as it came."""
    while isinstance(frame := await _next(stream), Frame):
        if frame.opcode in DATA:
            await stream.send(frame.opcode, bytes(frame.data), fin=frame.fin)


async def _next(stream: FrameStream) -> Frame | End:
    while True:
        with contextlib.suppress(Unmet):
            return await stream.receive(3_600, "a frame from the container")


@dataclass
class Behaviour:
    """What the backend does next; a check changes it for its own time.

    Args:
        health: status of its health page, or None to leave it unanswered.
        upgrade: status of its answer to an upgrade, or None to leave it unanswered.
        upgrade_delay: seconds before that answer.
        answers_pings: whether it answers the container's pings.
        serve: what it does with an open connection; None leaves it to the check.
    """

    health: int | None = 200
    upgrade: int | None = 101
    upgrade_delay: float = 0.0
    answers_pings: bool = True
    serve: Callable[[FrameStream], Awaitable[None]] | None = echo


@dataclass
class FakeBackend:
    """A scripted model server; it echoes unless a check says otherwise.

    Args:
        address: where to listen; port 0 takes a free one.
        log: where frames are written down.
        behaviour: what it does.
        offered: extensions that the container's last upgrade offered; None where none came.
        accepted_at: when it last accepted, `time.perf_counter()`; None where it did not.
        ends: how the container has ended its connections, in order.
    """

    address: BackendAddress
    log: ExchangeLog
    behaviour: Behaviour = field(default_factory=Behaviour)
    offered: str | None = None
    accepted_at: float | None = None
    ends: list[End] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _streams: asyncio.Queue[FrameStream] = field(default_factory=asyncio.Queue)

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            TargetError: the address is taken, or not one of this machine.
        """
        await self._listen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop listening and end every connection."""
        await self._stop()

    async def reset(self) -> None:
        """End every connection and echo again, for the next check."""
        await self._end_connections()
        self.behaviour = Behaviour()
        self.offered = self.accepted_at = None
        self.ends.clear()
        self._streams = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def dead(self) -> AsyncIterator[None]:
        """Nothing listens, and every connection is cut, for the time of the block."""
        self.log.add("backend", "note", "the backend is dead: nothing listens")
        await self._stop()
        try:
            yield
        finally:
            await self._listen()

    async def connection(self, within: float = 5.0) -> FrameStream:
        """The container's connection, for a check that serves it itself.

        Raises:
            Unmet: the container opened none in time.
        """
        try:
            async with asyncio.timeout(within):
                return await self._streams.get()
        except TimeoutError:
            raise Unmet(
                f"the container opened no connection to the backend within {within:g} s",
                f"a WebSocket to {self.address.host}:{self.address.port}",
            ) from None

    async def _listen(self) -> None:
        host, port = self.address.host, self.address.port
        try:
            self._server = await asyncio.start_server(self._connected, host, port)
        except OSError as error:
            raise TargetError(
                f"--fake-backend {host}:{port}: cannot listen there ({error.strerror}); stop the "
                "model server that the container uses now, or choose the port that it should use"
            ) from error
        # A free port that was taken once stays the same when the backend comes back to life.
        self.address = BackendAddress(host, self._server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._end_connections()
        self._server = None

    async def _end_connections(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        protocol = ServerSide(max_size=None)
        stream = FrameStream("backend", protocol, reader, writer, self.log)
        try:
            request = await stream.handshake()
            if isinstance(request, Request):
                await self._answer(stream, protocol, request)
        except (ConnectionError, EOFError, asyncio.CancelledError):
            # The container left, or the check is over: either way only the socket is left.
            pass
        finally:
            if stream.end is not None:
                self.ends.append(stream.end)
            await stream.dispose()
            self._tasks.discard(task)

    async def _answer(self, stream: FrameStream, protocol: ServerSide, request: Request) -> None:
        behaviour = self.behaviour
        upgrade = "upgrade" in request.headers.get("Connection", "").lower()
        status = behaviour.upgrade if upgrade else behaviour.health
        what = "an upgrade" if upgrade else "GET"
        self.log.add("backend", "received", f"{what} on {request.path}")
        if upgrade:
            self.offered = request.headers.get("Sec-WebSocket-Extensions", "")
        if status is None:
            self.log.add("backend", "note", "the backend leaves it unanswered")
            await asyncio.Event().wait()
        elif not upgrade or status != 101:
            await self._page(stream, protocol, status or 500)
        else:
            await asyncio.sleep(behaviour.upgrade_delay)
            await self._accept(stream, protocol, request, behaviour)

    async def _page(self, stream: FrameStream, protocol: ServerSide, status: int) -> None:
        self.log.add("backend", "sent", f"HTTP {status}")
        protocol.send_response(protocol.reject(HTTPStatus(status), ""))
        await stream.flush()

    async def _accept(
        self, stream: FrameStream, protocol: ServerSide, request: Request, behaviour: Behaviour
    ) -> None:
        response = protocol.accept(request)
        protocol.send_response(response)
        self.accepted_at = time.perf_counter()
        await stream.flush()
        if protocol.state is not State.OPEN:
            return
        self.log.add("backend", "sent", "HTTP 101")
        protocol.answers_pings = behaviour.answers_pings
        stream.start()
        if behaviour.serve is not None:
            await behaviour.serve(stream)
        else:
            await self._streams.put(stream)
            await asyncio.Event().wait()
