"""The container that does what the suite tells it to: `python -m sagemaker_bidi_contract.obeying`.

It stands behind an endpoint whose container's side is to be seen from the client's: what it was
asked for, what becomes of its metadata stream, what its death looks like. A command is a text
message `{"contract.check": "…"}`; anything else it sends back as it came. The query string
`contract-check=metadata…` chooses what the upgrade's response offers (M1).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from sagemaker_bidi_fixtures.containers.command import serve
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.echo import DATA
from sagemaker_bidi_fixtures.containers.server import DATA_PATH, FrameServer

COMMAND = "contract.check"
QUERY = "contract-check"
METADATA_PATH = "/invocations-bidirectional-stream-metadata"
OTHER_METADATA_PATH = "/contract-check/metadata"
ANSWER_SECONDS = 8.0
ABSENT_SECONDS = 2.0
_REFUSED_PATH = "/contract-check/refused"
_REMEMBERED = 1_000
_PREFIX = "X-Amzn-SageMaker-"
_ID = f"{_PREFIX}Request-Id"
_SUPPORTED = (f"{_PREFIX}Metadata-Stream-Supported", "true")
_REQUIRED = (f"{_PREFIX}Metadata-Stream-Required", "true")
_PATH = f"{_PREFIX}Metadata-Invocation-Path"

OFFERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "metadata": (_SUPPORTED,),
    "metadata-path": (_SUPPORTED, (_PATH, OTHER_METADATA_PATH)),
    "metadata-required": (_SUPPORTED, _REQUIRED),
    "metadata-refused": (_SUPPORTED, _REQUIRED, (_PATH, _REFUSED_PATH)),
}


@dataclass
class _Session:
    """What is known of one request id.

    Args:
        metadata: its second WebSocket, once it was opened.
        path: that it was asked for on.
        pongs: that have come on it.
        closed: it is over.
    """

    metadata: FrameSocket | None = None
    path: str = ""
    pongs: int = 0
    closed: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, condition: Callable[[], bool], seconds: float = ANSWER_SECONDS) -> bool:
        """Wait a few seconds; says whether it came true."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self.changed:
                await self.changed.wait_for(condition)
        return condition()


class ObeyingContainer(FrameServer):
    """`async with ObeyingContainer(port=0) as container`: see FrameServer for what it shows."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 8080) -> None:
        super().__init__(_nobody, host=host, port=port)
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    async def _answer(self, connection: FrameSocket) -> None:
        request = await connection.request()
        if request is None:
            return
        path, _, query = request.path.partition("?")
        if path == "/ping":
            await connection.respond(200)
        elif path in (METADATA_PATH, OTHER_METADATA_PATH):
            if await connection.accept(request):
                await self._follow(connection, request)
        elif path == DATA_PATH:
            (offer,) = parse_qs(query).get(QUERY, [""])
            if await connection.accept(request, OFFERS.get(offer, ())):
                await self._obey(connection, request)
        else:
            await connection.respond(404)

    def _session(self, request_id: str) -> _Session:
        session = self._sessions.setdefault(request_id, _Session())
        while len(self._sessions) > _REMEMBERED:
            self._sessions.popitem(last=False)
        return session

    async def _follow(self, connection: FrameSocket, request: Request) -> None:
        """A metadata stream: note its pongs and its end."""
        session = self._session(request.headers.get(_ID, ""))
        async with session.changed:
            session.metadata, session.path = connection, request.path
            session.changed.notify_all()
        try:
            while (frame := await connection.receive()) is not None:
                async with session.changed:
                    session.pongs += frame.opcode is Opcode.PONG
                    session.changed.notify_all()
        finally:
            # Not a `with`: a task that is cancelled must not wait here.
            session.closed = True
            with contextlib.suppress(asyncio.CancelledError):
                async with session.changed:
                    session.changed.notify_all()

    async def _obey(self, connection: FrameSocket, request: Request) -> None:
        session = self._session(request.headers.get(_ID, ""))
        while (frame := await connection.receive()) is not None:
            command = _command(frame)
            match command.get(COMMAND):
                case "die":
                    connection.abort()
                    return
                case "request":
                    answer = _told_of(request)
                case "ping":
                    answer = await _pinged(connection)
                case "metadata":
                    offered = parse_qs(urlsplit(request.path).query).get(QUERY)
                    opened = await session.until(
                        lambda: session.metadata is not None,
                        ANSWER_SECONDS if offered else ABSENT_SECONDS,
                    )
                    answer = {"opened": opened, "path": session.path}
                case "meter":
                    answer = await _meter(session, command.get("frames"))
                case "lose-metadata":
                    if session.metadata is not None:
                        session.metadata.abort()
                    continue
                case "metadata-of":
                    answer = await self._of_another(str(command.get("id")))
                case _:
                    if frame.opcode in DATA:
                        await connection.send(frame.opcode, bytes(frame.data), fin=frame.fin)
                    continue
            await connection.send(Opcode.TEXT, json.dumps(answer).encode())

    async def _of_another(self, request_id: str) -> dict[str, object]:
        session = self._sessions.get(request_id)
        if session is None:
            return {"known": False}
        return {"known": True, "closed": await session.until(lambda: session.closed)}


async def _nobody(connection: FrameSocket) -> None:
    raise AssertionError("the upgrade is answered here")


async def _pinged(connection: FrameSocket) -> dict[str, object]:
    """Ping the endpoint, and say whether the pong carries what the ping did."""
    payload = b"from the container"
    await connection.send(Opcode.PING, payload)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            while (frame := await connection.receive()) is not None:
                if frame.opcode is Opcode.PONG:
                    return {"pong": bytes(frame.data) == payload}
    return {"pong": False}


async def _meter(session: _Session, frames: object) -> dict[str, object]:
    """Send text frames on the metadata stream, and find out whether it lives."""
    if session.metadata is None or not isinstance(frames, list):
        return {"open": False}
    for text in frames:
        await session.metadata.send(Opcode.TEXT, str(text).encode())
    before = session.pongs
    await session.metadata.send(Opcode.PING, b"metering")
    await session.until(lambda: session.pongs > before or session.closed)
    return {"open": session.pongs > before and not session.closed}


def _command(frame: Frame) -> Mapping[str, object]:
    if frame.opcode is not Opcode.TEXT or not frame.fin:
        return {}
    try:
        document = json.loads(bytes(frame.data))
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _told_of(request: Request) -> dict[str, object]:
    """The upgrade's request; of headers that nobody should have passed on the names alone."""
    names = ("Request-Id", "Inference-Id", "Session-Id")
    ours = {name: request.headers.get(f"{_PREFIX}{name}", "") for name in names}
    return {"path": request.path, **ours, "headers": sorted({n.lower() for n in request.headers})}


if __name__ == "__main__":
    serve(
        "python -m sagemaker_bidi_contract.obeying",
        "obeying container",
        lambda host, port: ObeyingContainer(host=host, port=port),
    )
