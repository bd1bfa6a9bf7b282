"""What a check of an endpoint works with: connections, streams, and the real SDK."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator
from typing import Any, Self

from sagemaker_bidi.replay.targets import Target
from sagemaker_bidi_client import Stream, StreamError, open_stream
from sagemaker_bidi_contract.exchange import ExchangeLog
from sagemaker_bidi_contract.options import BEHIND, Behind, EndpointTarget, Options, TargetError
from sagemaker_bidi_contract.verdicts import Unmet
from sagemaker_bidi_contract.wire.duplex import Duplex, Invocation, ReceivedRefusal, invoke
from sagemaker_bidi_contract.wire.http2 import Http2Connection, tls_context
from sagemaker_bidi_contract.wire.identity import Identity, NoIdentity, resolve_identity
from sagemaker_bidi_contract.wire.reach import why_unreachable

ANSWER_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_NEEDS = {
    "variants": "it needs to know which variants are configured; give each with --variant "
    "NAME=WEIGHT",
    "slow": "it takes minutes of the endpoint's clock; ask for it with --slow",
    "allow-cost": "it loads the endpoint, which may cost money and disturb others; allow it with "
    "--allow-cost",
    "time": "it keeps an instance busy for 30 minutes; allow that with --allow-cost, or say how "
    "fast an emulator's clock runs with --time-scale",
}
_NO_STREAM = "no stream opens on this endpoint; see the check endpoint.opens, or the first failure"


class EndpointStage:
    """An endpoint under test.

    Args:
        target: where it is.
        options: what the user allows.

    Raises:
        TargetError: no endpoint name, no such file, or no such scale.
    """

    def __init__(self, target: EndpointTarget, options: Options) -> None:
        if not options.endpoint_name:
            raise TargetError(f"{target.url}: name the endpoint to invoke with --endpoint-name")
        if options.ca is not None and not options.ca.is_file():
            raise TargetError(f"--ca {options.ca}: no such file")
        if options.time_scale is not None and not options.time_scale > 0:
            raise TargetError(f"--time-scale {options.time_scale:g}: it is more than 0")
        self.target = target
        self.options = options
        self.awaited = ""
        self.log = ExchangeLog()
        self._identity: Identity | None = None
        self._numbers = itertools.count(1)
        self._connections: list[Http2Connection] = []
        self._duplexes: list[Duplex] = []
        self._opens: bool | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.clear()

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""
        return self.options.endpoint_name

    @property
    def scale(self) -> float:
        """Seconds on the endpoint's clock for one real second."""
        return self.options.time_scale or 1.0

    @property
    def identity(self) -> Identity:
        """Who signs; known once the target has been reached."""
        assert self._identity is not None, "unreachable() has not been asked"
        return self._identity

    async def connect(self) -> Http2Connection:
        """Open a connection; it is closed after the check.

        Raises:
            Unmet: no HTTP/2 over TLS.
        """
        self._await("an HTTP/2 connection")
        connection = Http2Connection(self.target.host, self.target.port, self.log, self._await)
        self._connections.append(connection)
        try:
            await connection.connect(tls_context(self.options.ca), _CONNECT_SECONDS)
        except TimeoutError:
            said = f"no TLS handshake within {_CONNECT_SECONDS:g} s"
            raise Unmet(said, "HTTP/2 over TLS (W1)") from None
        except OSError as error:
            raise Unmet(f"no connection: {error}", "HTTP/2 over TLS (W1)") from error
        return connection

    async def invoke(self, connection: Http2Connection | None = None, **fields: Any) -> Duplex:
        """Send a request; its answer is not waited for.

        Args:
            connection: a new one unless given.
            fields: of `Invocation`, beside the endpoint's name.

        Raises:
            Unmet: no connection.
        """
        on = connection or await self.connect()
        asked = Invocation(**{"endpoint": self.endpoint, **fields})
        duplex = await invoke(on, asked, self.identity, f"stream {next(self._numbers)}")
        self._duplexes.append(duplex)
        return duplex

    async def ask(self, **fields: Any) -> ReceivedRefusal | None:
        """Send a request and wait for its answer; None for a stream that opened.

        Args:
            fields: of `Invocation`, beside the endpoint's name.

        Raises:
            Unmet: no answer in time.
        """
        return await (await self.invoke(**fields)).refusal(ANSWER_SECONDS)

    async def open(self, connection: Http2Connection | None = None, **fields: Any) -> Duplex:
        """Open a stream and wait for its 200; it is closed after the check.

        Args:
            connection: a new one unless given.
            fields: of `Invocation`, beside the endpoint's name.

        Raises:
            Unmet: it did not open.
        """
        duplex = await self.invoke(connection, **fields)
        await duplex.opened(ANSWER_SECONDS)
        return duplex

    @contextlib.asynccontextmanager
    async def sdk(self, endpoint: str | None = None) -> AsyncIterator[Stream]:
        """A stream of the real SDK.

        Args:
            endpoint: the endpoint under test unless given.

        Raises:
            StreamError: it did not open, or broke.
        """
        who = f"sdk {next(self._numbers)}"
        name = endpoint or self.endpoint
        self._await("the SDK's stream")
        self.log.add(who, "sent", f"InvokeEndpointWithBidirectionalStream {name}")
        try:
            async with open_stream(
                name,
                endpoint_url=self.target.url,
                region=self.identity.region,
                ca=self.options.ca,
            ) as stream:
                try:
                    yield stream
                finally:
                    self.log.add(who, "note", str(stream.history))
        except StreamError as error:
            self.log.add(who, "received", str(error))
            raise

    @property
    def replayed_to(self) -> Target:
        """Where a recording is played."""
        url = f"{self.target.url}/{self.endpoint}"
        return Target(url, region=self.identity.region, ca=self.options.ca)

    # What the runner asks.

    async def missing(self, capability: str) -> str | None:
        """Why a check with this requirement cannot be made here, or None.

        Raises:
            Unmet: no stream opens, and no check has said so yet.
        """
        options = self.options
        match capability:
            case "stream":
                return None if await self._does_open() else _NO_STREAM
            case "echo" if options.behind == "obeying":
                return None
            case "echo" | "obeying" | "never-pong" | "closing" | "refusing":
                return None if options.behind == capability else _needs_container(capability)
            case "variants":
                there = bool(options.variants)
            case "slow":
                there = options.slow
            case "allow-cost":
                there = options.allow_cost
            case "time":
                there = options.allow_cost or options.time_scale is not None
            case _:
                raise ValueError(f"no check may require {capability!r}")
        return None if there else _NEEDS[capability]

    async def unreachable(self) -> str | None:
        """Why the endpoint cannot be spoken to, or None."""
        with self.log.paused():
            reason = await self._try_tls()
        if reason is None and self._identity is None:
            try:
                self._identity = await resolve_identity(self.options.region)
            except NoIdentity as error:
                return str(error)
        return reason

    def remember(self, opens: bool) -> None:
        """Have the checks that need a stream skipped, or made: one has told of it."""
        self._opens = opens

    async def clear(self) -> None:
        """Close what a check has left open."""
        with self.log.paused():
            await asyncio.gather(*(duplex.leave() for duplex in self._duplexes))
            for connection in self._connections:
                await connection.dispose()
        self._duplexes.clear()
        self._connections.clear()
        self._numbers = itertools.count(1)
        self.awaited = ""

    async def _does_open(self) -> bool:
        if self._opens is None:
            try:
                await self.open()
                self._opens = True
            except Unmet:
                self._opens = False
                raise
            finally:
                if self._opens:
                    await self.clear()
        return self._opens

    async def _try_tls(self) -> str | None:
        address = self.target.address
        connection = Http2Connection(self.target.host, self.target.port, self.log, self._await)
        context = tls_context(self.options.ca, ("h2", "http/1.1"))
        try:
            await connection.connect(context, _CONNECT_SECONDS)
        except TimeoutError:
            return f"{address} did not finish a TLS handshake within {_CONNECT_SECONDS:g} s (W6)"
        except ssl.SSLCertVerificationError as error:
            trust = "in place of the one that --ca names" if self.options.ca else "with --ca FILE"
            return (
                f"{address} shows a certificate that is not trusted here ({error.verify_message}); "
                f"name its authority's certificate {trust}, or in SSL_CERT_FILE (`bidi trust` "
                "prints that of an emulator)"
            )
        except ssl.SSLError as error:
            return f"{address} does not speak TLS ({error.reason or error})"
        except (OSError, UnicodeError) as error:
            return why_unreachable(self.target, error)
        except Unmet as wrong:
            return f"{address} does not speak HTTP/2: {wrong.summary}"
        finally:
            await connection.dispose()
        return None

    def _await(self, what: str) -> None:
        self.awaited = what


def _needs_container(kind: Behind) -> str:
    return (
        f"it needs a container behind the endpoint that {BEHIND[kind]}; say that there is one with "
        f"--behind {kind}"
    )
