"""How the sessions of each route are opened."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.load.http2 import connect
from benchmarks.load.session import LoadSession, SessionLost
from benchmarks.load.signed import SignedSession
from benchmarks.load.websocket import Http2WebSocket, open_websocket

ENDPOINT = "bench"
# A server may hold connections back while it works: openings come in small groups.
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Target:
    """Where a route begins.

    Args:
        route: `direct`, `lean`, `sdk`, `nghttpx` or `mitmproxy`.
        url: of the first hop; its scheme says whether TLS is spoken.
        ca: roots that its certificate is checked against; None does not check it.
        per_connection: sessions that share one HTTP/2 connection.
    """

    route: str
    url: str
    ca: str | None
    per_connection: int


@dataclass(slots=True)
class Refusals:
    """How many openings may be refused, and tried again, before that ends the work.

    Args:
        allowed: over all sessions.
        seen: so far.
    """

    allowed: int = 0
    seen: int = 0


async def open_sessions(
    target: Target, count: int, refusals: Refusals | None = None
) -> list[LoadSession]:
    """Open `count` sessions.

    Args:
        refusals: how many are put up with, and counted there; none unless given.

    Raises:
        SessionLost: a session did not open; says what the server answered.
    """
    refusals = refusals or Refusals()
    if target.route == "sdk":
        from benchmarks.load.sdk import open_sdk_sessions

        return await open_sdk_sessions(target, count)
    parts = urlsplit(target.url)
    host, port = parts.hostname or "", parts.port or 0
    if target.route in ("direct", "mitmproxy"):
        context = _tls(target.ca) if parts.scheme in ("wss", "https") else None
        return await _in_groups(
            count, refusals, lambda _: open_websocket(host, port, context, host)
        )
    connections = [
        await connect(host, port, _tls(target.ca), host)
        for _ in range(-(-count // target.per_connection))
    ]

    async def open_one(number: int) -> LoadSession:
        connection = connections[number % len(connections)]
        authority = f"{host}:{port}"
        session: SignedSession | Http2WebSocket
        if target.route == "nghttpx":
            session = Http2WebSocket(connection, authority)
        else:
            session = SignedSession(connection, authority, ENDPOINT)
        await session.opened
        return session

    return await _in_groups(count, refusals, open_one)


async def _in_groups(
    count: int, refusals: Refusals, open_one: Callable[[int], Awaitable[LoadSession]]
) -> list[LoadSession]:
    async def open_at_last(number: int) -> LoadSession:
        while True:
            try:
                return await open_one(number)
            except SessionLost:
                refusals.seen += 1
                if refusals.seen > refusals.allowed:
                    raise

    sessions: list[LoadSession] = []
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        sessions += await asyncio.gather(*map(open_at_last, numbers))
    return sessions


def _tls(ca: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
