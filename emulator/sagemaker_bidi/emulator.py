"""The emulator as an object: start it, use it, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sagemaker_bidi.clock import Clock, RealClock, ScaledClock
from sagemaker_bidi.config import Config, endpoint_tables
from sagemaker_bidi.contract.health import Status
from sagemaker_bidi.endpoints.endpoints import Endpoints
from sagemaker_bidi.endpoints.monitor import Monitor
from sagemaker_bidi.environment import DEFAULT_REGION, Environment, client_environment
from sagemaker_bidi.faults.engine import Faults
from sagemaker_bidi.faults.in_force import InForce, PlansInForce
from sagemaker_bidi.faults.plan import Plan
from sagemaker_bidi.own_thread import OwnThread, call_on
from sagemaker_bidi.recordings.recorder import Recorder
from sagemaker_bidi.session.containers import prepare
from sagemaker_bidi.session.invocations import Invocations
from sagemaker_bidi.session.kept import KEEP_BYTES, Kept
from sagemaker_bidi.session.record import SessionRecord
from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.tap import Tap
from sagemaker_bidi.transport.http1 import refuse_http1
from sagemaker_bidi.transport.http2.connection import Connection
from sagemaker_bidi.transport.http2.incoming import READ_SIZE
from sagemaker_bidi.transport.identity import load_identity, sagemaker_hosts
from sagemaker_bidi.transport.memory import Tide
from sagemaker_bidi.transport.server import StreamServerConfig, serve

logger = logger_named("bidi.http2")

CONNECTION_FAILED = "a connection failed by a bug of the emulator"


class PortTaken(OSError):
    """The port to listen on is in use, or may not be used; says which and what to do."""


class Emulator:
    """SageMaker's bidirectional streaming on this machine.

        with Emulator(endpoints={"voxtral": "ws://127.0.0.1:8080"}) as emulator:
            with emulator.environment():
                ...

    With `with` it runs on a thread of its own, so that code which has no event loop, or blocks it,
    may use it; with `async with` it runs in the loop that there is. Its attributes may be used
    from any thread.

    Args:
        endpoints: container address (`ws://HOST:PORT`) by endpoint name.
        port: TCP port; a free one unless given.
        config: everything else; `endpoints` and `port` win over it.
        clock: what all waiting asks; `config.time_scale` decides unless given.
        taps: told of everything that passes.
        plans: fault plans in force from the start; `faults` adds and removes more.
        listener: a listening socket to use instead of `config.host` and `config.port`.
        state: folder of the local CA; the user's state folder unless given.
        keep_bytes: how much of what passes is kept for `sessions`, the latest of all of them.

    Raises:
        ConfigError: an endpoint's name or address does not fit.
    """

    def __init__(
        self,
        endpoints: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        config: Config | None = None,
        clock: Clock | None = None,
        taps: Sequence[Tap] = (),
        plans: Sequence[Plan] = (),
        listener: socket.socket | None = None,
        state: Path | None = None,
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        changes: dict[str, Any] = {"endpoints": endpoint_tables(endpoints or {})}
        if config is None or port:
            changes["port"] = port
        self.config = (config or Config()).over(changes)
        if clock is None:
            scale = self.config.time_scale
            clock = RealClock() if scale == 1 else ScaledClock(scale)
        self._clock = clock
        self._identity = load_identity(state)
        settings = self.config.contract_settings()
        served = Endpoints(self.config.endpoint_list())
        self._monitor = Monitor(served, settings, clock, self.config.health, self.config.ping)
        self._faults = Faults(plans, self.config.endpoints)
        self._kept = Kept(keep_bytes)
        self._invocations = Invocations(
            settings=settings,
            endpoints=served,
            monitor=self._monitor,
            keys=self.config.keys(),
            region=self.config.region,
            unknown_keys=self.config.unknown_keys,
            clock=clock,
            stopping=lambda: self._stopping,
            taps=[self._faults, *taps, *self._recorders(), *([self._kept] if keep_bytes else [])],
            kept=self._kept,
        )
        self._http2 = self.config.http2_settings()
        self._listener = listener
        self._stop_asked = asyncio.Event()
        self._now = asyncio.Event()
        self._stopping = asyncio.Event()
        self._connections: set[asyncio.StreamWriter] = set()
        self._tide = Tide()
        self._served = 0
        self._serving: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: OwnThread[Emulator] | None = None
        self._address: tuple[str, int] | None = listener.getsockname()[:2] if listener else None

    def _recorders(self) -> list[Tap]:
        record = self.config.record
        if record is None:
            return []
        return [
            Recorder(
                record.directory,
                header=record.header(),
                redact=record.redact,
                keep_days=record.keep_days,
            )
        ]

    @property
    def url(self) -> str:
        """The endpoint URL for clients, `https://HOST:PORT`."""
        if self._address is None:
            raise RuntimeError("the emulator is not running: use it as `with Emulator(…)`")
        host, port = self._address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"https://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def ca(self) -> Path:
        """The bundle of the system's roots and the local CA, as `SSL_CERT_FILE` wants it."""
        return self._identity.bundle

    def end_session(self, session_id: str, why: str = "ended by the test") -> bool:
        """End a session that runs: its client gets the end of the stream, its container Close 1001.

        Args:
            session_id: the request's id.
            why: for the log and the session's record.

        Returns:
            False where no such session runs.
        """
        return self._invocations.end(session_id, why)

    @property
    def sessions(self) -> list[SessionRecord]:
        """The sessions so far, oldest first; the latest 1,000 are kept."""
        return call_on(self._loop, lambda: list(self._invocations.records))

    @property
    def faults(self) -> PlansInForce:
        """The fault plans in force, to add and to remove some."""
        return PlansInForce(self._faults, lambda: self._loop)

    @property
    def region(self) -> str:
        """The region for clients: the configured one, or `us-east-1` where any is taken."""
        return self.config.region or DEFAULT_REGION

    def trust(self) -> dict[str, str]:
        """The variables that make a client use this emulator.

        They are not enough where others win over them: `environment` clears those as well.
        """
        return dict(self.environment().variables)

    def environment(self) -> Environment:
        """The environment that makes a client use this emulator, for a block or a subprocess.

        with emulator.environment():
            ...

        subprocess.run(command, env=emulator.environment().over(os.environ))
        """
        return client_environment(
            self.url, self._identity.ca, self._identity.bundle, self.config.region
        )

    def scenario(self, name: str, **parameters: Any) -> InForce:
        """Have a failure of the catalogue happen for as long as the block runs.

            with emulator.scenario("container-dies", after_parts=20):

        Args:
            name: see `bidi scenarios`.
            parameters: see `bidi scenario NAME`.

        Raises:
            ScenarioError: there is none of that name, or it cannot come to a running emulator.
        """
        from sagemaker_bidi.scenarios import ScenarioError, scenario

        chosen = scenario(name)
        if chosen.at_start:
            raise ScenarioError(
                f"scenario {chosen.name} changes the configuration, so it cannot come to a running "
                f"emulator; start one with it: {chosen.test_line}"
            )
        return InForce(self.faults, chosen.plan(**parameters))

    def status(self, endpoint: str) -> dict[str, Status]:
        """The status of an endpoint's variants by name (K4).

        Raises:
            KeyError: there is no such endpoint.
        """
        return call_on(self._loop, lambda: self._monitor.statuses(endpoint))

    def not_in_service(self, endpoint: str) -> list[tuple[str, str]]:
        """What an endpoint's containers were asked, and what they answered that keeps them out.

        Raises:
            KeyError: there is no such endpoint.
        """
        return call_on(self._loop, lambda: self._monitor.not_in_service(endpoint))

    async def wait_stopped(self) -> None:
        """Wait until the emulator has stopped."""
        await self._stopping.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        thread = OwnThread(_OnItsThread(self), "emulator")
        thread.__enter__()
        self._thread = thread
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.__exit__(exc_type, exc, traceback)

    async def start(self, *, asked: bool = True) -> None:
        """Listen; returns when clients can connect.

        Args:
            asked: and each container has been asked once (K4); an invocation waits for that in
                any case.

        Raises:
            PortTaken: the address cannot be listened on.
            ExtraMissing: an endpoint stands in front of another one, and there is no AWS SDK.
        """
        if self._serving is not None:
            raise RuntimeError(f"the emulator runs already, at {self.url}")
        prepare(self.config.endpoint_list())
        # New ones each time: the loop may be another one.
        self._stop_asked, self._now = asyncio.Event(), asyncio.Event()
        self._stopping = asyncio.Event()
        tls = self._identity.server_context(
            [*self.config.names, *sagemaker_hosts(self.region)],
            protocol="http/1.1" if self.config.entrance == "http1" else "h2",
            trusted=self.config.entrance != "untrusted",
        )
        listener = self._listener or listen(self.config.host, self.config.port)
        self._address = listener.getsockname()[:2]
        try:
            await self._monitor.start(asked=asked)
        except BaseException:
            listener.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._server = StreamServerConfig(self._accept, tls)
        # Hypercorn owns this descriptor from here on and closes it.
        self._server.bind = [f"fd://{listener.detach()}"]
        self._serving = asyncio.create_task(serve(self._server, self._stop_asked.wait))
        self._serving.add_done_callback(lambda _: self._stopping.set())

    async def stop(self, *, grace: float = 0.0) -> None:
        """Stop listening, send GOAWAY, let open sessions finish, end what is left.

        Args:
            grace: seconds that open sessions have, of real time; `stop_now` cuts it short.
        """
        serving = self._serving
        if serving is None:
            return
        self._stop_asked.set()
        self._stopping.set()
        if grace:
            await self._within(serving, grace)
        self._invocations.shut_down()
        self._now.clear()
        await self._within(serving, 1.0)
        self._invocations.abort()
        self._server.abort()
        for writer in list(self._connections):
            writer.transport.abort()
        try:
            await serving
        finally:
            self._serving = None
            await self._monitor.stop()
            self._loop = None

    def stop_now(self) -> None:
        """Wait no longer for open sessions: end them now."""
        self._now.set()

    async def _within(self, serving: asyncio.Task[None], seconds: float) -> None:
        now = asyncio.create_task(self._now.wait())
        await asyncio.wait({serving, now}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        now.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        self._tide.now(len(self._connections))
        try:
            tls = writer.get_extra_info("ssl_object")
            if self.config.entrance == "mute":
                with contextlib.suppress(OSError):
                    while await reader.read(READ_SIZE):
                        pass
            elif isinstance(tls, ssl.SSLObject) and tls.selected_alpn_protocol() == "h2":
                connection = Connection(
                    reader,
                    writer,
                    self._http2,
                    self._invocations.serve,
                    self._stopping,
                    self._clock.unscaled,
                )
                await self._serve(connection)
            else:
                await refuse_http1(reader, writer)
        except Exception:
            # A bug of ours in one connection ends no other, and not the server's stop.
            logger.exception(CONNECTION_FAILED)
            writer.transport.abort()
        finally:
            self._connections.discard(writer)
            self._tide.now(len(self._connections))

    async def _serve(self, connection: Connection) -> None:
        if self._served >= self._http2.max_connections:
            await connection.refuse(f"{self._served} connections are open (http2.max_connections)")
            return
        self._served += 1
        try:
            await connection.run()
        finally:
            self._served -= 1


class _OnItsThread:
    """An emulator that does not wait for its containers: one may run in the loop that waits."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def __aenter__(self) -> Emulator:
        await self._emulator.start(asked=False)
        return self._emulator

    async def __aexit__(self, *_: object) -> None:
        await self._emulator.stop()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        PortTaken: the address is in use, not this machine's, or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            what = "another process listens there; stop it, or choose another --port"
        elif error.errno == errno.EACCES:
            what = "ports below 1024 need privileges; choose another --port"
        else:
            what = f"{error.strerror or error}; choose another --host or --port"
        raise PortTaken(error.errno, f"cannot listen on {host}:{port}: {what}") from error
    listener.setblocking(False)
    return listener
