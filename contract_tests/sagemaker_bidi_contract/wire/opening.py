"""The opening handshake as SageMaker makes it: path, its headers, no compression (O2, O9)."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.http11 import Response
from websockets.uri import WebSocketURI

from sagemaker_bidi_contract.exchange import ExchangeLog, milliseconds
from sagemaker_bidi_contract.options import ContainerTarget
from sagemaker_bidi_contract.verdicts import Unmet
from sagemaker_bidi_contract.wire.stream import FrameStream


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What to ask for.

    Args:
        path: with its leading slash and query string.
        headers: beside those of the handshake.
        within: seconds to wait for the answer.
        receive_buffer: of the socket, bytes; None leaves it to the system.
    """

    path: str
    headers: tuple[tuple[str, str], ...] = ()
    within: float = 5.0
    receive_buffer: int | None = None


@dataclass(frozen=True, slots=True)
class UpgradeAnswer:
    """What came of an upgrade.

    Args:
        at: when it came, `time.perf_counter()`.
        seconds: from the request to the answer.
        status: HTTP status, or None where TCP ended without one.
        headers: of the response, names in lower case.
        stream: open, where `status` is 101.
    """

    at: float
    seconds: float
    status: int | None
    headers: dict[str, str] = field(default_factory=dict)
    stream: FrameStream | None = None

    @property
    def words(self) -> str:
        """The answer in words."""
        return "TCP ended without an answer" if self.status is None else f"HTTP {self.status}"


async def open_stream(
    target: ContainerTarget,
    upgrade: Upgrade,
    who: str,
    log: ExchangeLog,
    awaiting: Callable[[str], None] = lambda what: None,
) -> UpgradeAnswer:
    """Ask a container for a WebSocket.

    Args:
        target: where it is.
        upgrade: what to ask for.
        who: the connection's name in the exchange.
        log: where it is written down.
        awaiting: is told what is waited for.

    Raises:
        Unmet: no answer in time, or one that is no opening handshake.
        OSError: no TCP connection.
    """
    what = f"an answer to the upgrade on {upgrade.path}"
    awaiting(what)
    try:
        async with asyncio.timeout(upgrade.within):
            return await _open(target, upgrade, who, log, awaiting)
    except TimeoutError:
        raise Unmet(f"the upgrade was not answered within {upgrade.within:g} s", what) from None


async def _open(
    target: ContainerTarget,
    upgrade: Upgrade,
    who: str,
    log: ExchangeLog,
    awaiting: Callable[[str], None],
) -> UpgradeAnswer:
    reader, writer = await _connect(target, upgrade.receive_buffer)
    path, _, query = upgrade.path.partition("?")
    uri = WebSocketURI(False, target.host, target.port, path, query)
    protocol = ClientProtocol(uri, max_size=None)
    stream = FrameStream(who, protocol, reader, writer, log, awaiting)
    try:
        request = protocol.connect()
        for name, value in upgrade.headers:
            request.headers[name] = value
        log.add(who, "sent", f"GET {upgrade.path} (upgrade to WebSocket)")
        started = time.perf_counter()
        protocol.send_request(request)
        await stream.flush()
        response = await stream.handshake()
        at = time.perf_counter()
    except BaseException:
        await stream.dispose()
        raise
    return await _answer(stream, protocol, response, (at, at - started), log)


async def _answer(
    stream: FrameStream,
    protocol: ClientProtocol,
    response: object,
    when: tuple[float, float],
    log: ExchangeLog,
) -> UpgradeAnswer:
    if not isinstance(response, Response):
        await stream.dispose()
        error = protocol.handshake_exc
        if isinstance(error, InvalidHandshake | ValueError) and not isinstance(
            error.__cause__, EOFError
        ):
            raise Unmet(
                f"the answer to the upgrade cannot be read: {error.__cause__ or error}",
                "HTTP 101 in lines of 8 KiB at most, each header as NAME: VALUE (RFC 9112, 5)",
            )
        log.add(stream.who, "received", "TCP ended without an answer to the upgrade")
        return UpgradeAnswer(*when, None)
    took = f"after {milliseconds(when[1])}"
    log.add(stream.who, "received", f"HTTP {response.status_code} {took}")
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    if response.status_code != 101:
        await stream.dispose()
        return UpgradeAnswer(*when, response.status_code, headers)
    if protocol.handshake_exc is not None:
        await stream.dispose()
        raise Unmet(
            f"the 101 is no valid opening handshake: {protocol.handshake_exc}",
            "a 101 as RFC 6455, 4.2.2 has it",
        )
    stream.start()
    return UpgradeAnswer(*when, 101, headers, stream)


async def _connect(
    target: ContainerTarget, receive_buffer: int | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if receive_buffer is None:
        return await asyncio.open_connection(target.host, target.port)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    family, kind, number, _, address = found[0]
    sock = socket.socket(family, kind, number)
    try:
        # Before connect: the window's scale is settled in the TCP handshake.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        return await asyncio.open_connection(sock=sock, limit=receive_buffer)
    except BaseException:
        sock.close()
        raise
