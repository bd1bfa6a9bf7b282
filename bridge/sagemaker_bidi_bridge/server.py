"""Serving the bridge with uvicorn: listening, the graceful stop, and use inside a process."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import uvicorn

from sagemaker_bidi_bridge.app import create_app
from sagemaker_bidi_bridge.descriptors import Capacity, capacity, limit_of_open_files
from sagemaker_bidi_bridge.gate import Gate, Room
from sagemaker_bidi_bridge.observe import Observe, SessionLog, key_values
from sagemaker_bidi_bridge.sessions import Sessions, register_of
from sagemaker_bidi_bridge.settings import Settings
from sagemaker_bidi_bridge.wire import Wire

_GOING_AWAY = 1001
_FORCED_SECONDS = 0.25
_LINGER_SECONDS = 1
_QUIET_SECONDS = 60.0

logger = logging.getLogger("bridge.server")


class CannotListen(OSError):
    """The address is taken, or not one of this machine; the message says which and what to do."""


class DrainingServer(uvicorn.Server):
    """uvicorn with a stop that lets sessions finish, where uvicorn's own cuts them with 1012.

    Args:
        config: uvicorn's.
        settings: gives the time that sessions have.
        sessions: the register that is drained.
        room: for its connections.
    """

    def __init__(
        self, config: uvicorn.Config, settings: Settings, sessions: Sessions, room: Room
    ) -> None:
        super().__init__(config)
        self.server_state = room
        self.settings = settings
        self.sessions = sessions
        self.drain_seconds = settings.drain_seconds
        self.is_up = asyncio.Event()
        self._stop = asyncio.Event()
        self._force = asyncio.Event()

    def stop(self) -> None:
        """Begin to drain; the second call ends every session at once."""
        if self._stop.is_set():
            self._force.set()
            self.force_exit = True
            return
        self.sessions.draining = True
        self.should_exit = True
        self._stop.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: `run` installs its handlers, and in-process use wants none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and say when."""
        await super().startup(sockets)
        self.is_up.set()

    async def main_loop(self) -> None:
        """Wait for `stop`; uvicorn's own loop polls ten times a second for features not used."""
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, close what is left with 1001, then stop listening (K4)."""
        await self._drain()
        await super().shutdown(sockets)
        # A peer that reads nothing keeps its connection for as long as its buffer is full.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in self.server_state.tasks:
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)

    async def _drain(self) -> None:
        if not len(self.sessions):
            return
        logger.info(
            "draining %s", key_values(sessions=len(self.sessions), seconds=self.drain_seconds)
        )
        if await self._idle_within(self.drain_seconds):
            return
        forced = self._force.is_set()
        reason = "told to stop at once" if forced else f"drained for {self.drain_seconds:g} s"
        logger.warning(
            "closing sessions %s", key_values(sessions=len(self.sessions), reason=reason)
        )
        self.sessions.cut_all(_GOING_AWAY, f"the bridge is stopping: {reason}")
        grace = _FORCED_SECONDS if forced else self.settings.close_seconds + _FORCED_SECONDS
        try:
            async with asyncio.timeout(grace):
                await self.sessions.wait_idle()
        except TimeoutError:
            logger.warning("sessions left %s", key_values(sessions=len(self.sessions)))

    async def _idle_within(self, seconds: float) -> bool:
        """Whether all sessions ended by themselves before the time, or a second stop, came."""
        idle = asyncio.create_task(self.sessions.wait_idle())
        force = asyncio.create_task(self._force.wait())
        done, pending = await asyncio.wait(
            {idle, force}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in pending:
            task.cancel()
        return idle in done


class BridgeServer:
    """The bridge inside this process, for demonstrations and tests.

    Installs no signal handlers. Leaving the block closes open sessions with 1001 at once and
    returns every socket and task.

    Args:
        settings: `port=0` picks a free port.
        observe: makes an observer for each session.

    Raises:
        CannotListen: on entry, when the address is taken.
    """

    def __init__(self, settings: Settings, observe: Observe = SessionLog) -> None:
        self.settings = settings
        self.observe = observe
        self.url = ""
        self.fit = capacity(limit_of_open_files(raise_it=False))
        self.sessions = register_of(settings, self.fit)

    async def __aenter__(self) -> Self:
        listener = listen(self.settings.host, self.settings.port, self.fit.backlog)
        self.url = _url_of(listener)
        self.server = _server(self.settings, self.observe, self.sessions, self.fit)
        self.server.drain_seconds = 0
        self._serving = asyncio.create_task(self.server.serve([listener]))
        up = asyncio.create_task(self.server.is_up.wait())
        await asyncio.wait({up, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._serving.done():
            await self._serving  # raises what kept it from starting
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.server.stop()
        await self._serving


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Open the listening socket.

    Args:
        host: address or host name.
        port: TCP port; 0 picks a free one.
        backlog: how many connections may wait.

    Raises:
        CannotListen: naming the address and the reason.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With its protocol spelt out, asyncio sets TCP_NODELAY on what is accepted; without it
        # Nagle holds small messages back.
        listener = socket.socket(family, kind, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(backlog)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "stop what holds it, or set BRIDGE_HOST or BRIDGE_PORT"
        ) from error
    return listener


def run(settings: Settings, observe: Observe = SessionLog) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: every setting.
        observe: makes an observer for each session.

    Returns:
        The exit code: 0 after a stop, whether sessions ended by themselves or were closed with
        1001 at the end of the drain.

    Raises:
        CannotListen: when the address is taken.
    """
    fit = capacity(limit_of_open_files(raise_it=True))
    listener = listen(settings.host, settings.port, fit.backlog)

    async def serve() -> None:
        sessions = register_of(settings, fit)
        if settings.max_sessions is not None and settings.max_sessions > fit.sessions:
            logger.warning(
                "BRIDGE_MAX_SESSIONS=%d: %d fit under the limit of %d open files; raise ulimit -n",
                *(settings.max_sessions, fit.sessions, fit.descriptors),
            )
        server = _server(settings, observe, sessions, fit)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(AcceptLog())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        # The images block them until here: process 1 hears none without a handler.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        logger.info(
            "listening %s",
            key_values(
                url=_url_of(listener),
                backend=settings.backend_url,
                sessions=sessions.limit,
                open_files=fit.descriptors,
            ),
        )
        await server.serve([listener])
        logger.info("stopped")

    asyncio.run(serve())
    return 0


class AcceptLog:
    """Says once a minute that no connection can be accepted, where asyncio does at each try."""

    def __init__(self) -> None:
        self._said_at = -_QUIET_SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "socket.accept()" not in str(context.get("message")):
            loop.default_exception_handler(context)
        elif loop.time() - self._said_at >= _QUIET_SECONDS:
            self._said_at = loop.time()
            logger.error(
                "cannot accept %s",
                key_values(reason=context.get("exception"), note="said once a minute"),
            )


# uvicorn says the first at ERROR after every refused upgrade, when the refusal was in order, and
# the second beside our own line, which has the peer and the reason.
_FALSE_ALARMS = (
    "ASGI callable returned without completing handshake.",
    "Invalid HTTP request received.",
)


def _no_false_alarm(record: logging.LogRecord) -> bool:
    return record.msg not in _FALSE_ALARMS


def _server(
    settings: Settings, observe: Observe, sessions: Sessions, fit: Capacity
) -> DrainingServer:
    config = uvicorn.Config(
        create_app(settings, observe, sessions),
        http=Gate,
        ws=Wire,
        # SageMaker is the peer, and what a client writes into X-Forwarded-For is not believed.
        proxy_headers=False,
        backlog=fit.backlog,
        lifespan="off",
        log_config=None,
        # Below this level uvicorn lets websockets log the text of each frame.
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        # SageMaker pings (K1), and its bytes are audio: neither pings nor compression from here.
        ws_ping_interval=None,
        ws_ping_timeout=None,
        ws_per_message_deflate=False,
        ws_max_size=settings.max_message_bytes or sys.maxsize,
        timeout_graceful_shutdown=_LINGER_SECONDS,
    )
    logging.getLogger("uvicorn.error").addFilter(_no_false_alarm)
    return DrainingServer(config, settings, sessions, Room(fit.connections))


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"ws://[{reachable}]:{port}" if ":" in reachable else f"ws://{reachable}:{port}"
