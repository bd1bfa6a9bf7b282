"""The bridge's port before anything is known of a peer: how many, for how long, how much."""

import asyncio
import json
import logging
import sys
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

from sagemaker_bidi_bridge.observe import key_values

HANDSHAKE_SECONDS = 5.0
_LINGER_SECONDS = 1.0
_QUIET_SECONDS = 60.0

# What the WebSocket's own parser takes, which says nothing of what is beyond.
_LINE_BYTES = MAX_LINE_LENGTH - len(b"\r\n")

logger = logging.getLogger("bridge.server")


class Room(ServerState):
    """The connections of a server, and how many there may be.

    Where there are too many, that one goes which has waited longest without having asked: a peer
    that opens connections and says nothing shuts out nobody.

    Args:
        limit: how many connections.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.asking: dict[Gate, None] = {}
        self._said_at = -_QUIET_SECONDS

    def make_place(self, newcomer: "Gate") -> None:
        """Let somebody go where the newcomer is one too many."""
        if len(self.connections) <= self.limit:
            return
        waiting = next(iter(self.asking), newcomer)
        waiting.leave_room()
        now = asyncio.get_running_loop().time()
        if now - self._said_at >= _QUIET_SECONDS:
            self._said_at = now
            logger.warning(
                "connections dropped %s",
                key_values(
                    limit=self.limit,
                    peer=waiting.peer,
                    reason="as many are open as the limit of open files (ulimit -n) allows; the "
                    "longest that has asked nothing goes (said once a minute)",
                ),
            )


class Gate(H11Protocol):
    """uvicorn's HTTP, which refuses what is too long or too slow with a status and a log line."""

    _timer: asyncio.TimerHandle | None = None
    _refused = False

    def __init__(self, config: Config, server_state: ServerState, *args: Any, **more: Any) -> None:
        super().__init__(config, server_state, *args, **more)
        assert isinstance(server_state, Room)
        self._room = server_state

    @property
    def peer(self) -> str:
        return "unknown" if self.client is None else f"{self.client[0]}:{self.client[1]}"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the time that a peer has for its request."""
        super().connection_made(transport)
        self._room.make_place(self)
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        """Read; what comes after a refusal is dropped, so that the answer arrives."""
        if self._refused:
            return
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for_request()
        else:
            self._has_asked()

    def on_response_complete(self) -> None:
        """A connection that is kept, and asks nothing, makes place for others."""
        super().on_response_complete()
        self._room.asking[self] = None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand over to the WebSocket, unless its parser would not take the request."""
        line = len(event.method) + len(event.target) + len(b"  HTTP/1.1")
        longest = max((len(name) + len(value) + 2 for name, value in event.headers), default=0)
        if line > _LINE_BYTES:
            return self._refuse(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                f"the request line has {line} bytes: {_LINE_BYTES} are taken",
            )
        if longest > _LINE_BYTES:
            return self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"a header has {longest} bytes: {_LINE_BYTES} are taken",
            )
        if len(list(event.headers)) > MAX_NUM_HEADERS:
            return self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"there are {len(list(event.headers))} headers: {MAX_NUM_HEADERS} are taken",
            )
        self._has_asked()
        self._refused = True  # what follows is the WebSocket's
        super().handle_websocket_upgrade(event)
        return None

    def send_400_response(self, msg: str) -> None:
        """Say what was wrong; h11 tells it in the exception that is being handled."""
        error = sys.exception()
        status = getattr(error, "error_status_hint", HTTPStatus.BAD_REQUEST)
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            if b"\n" not in self.conn.trailing_data[0]:
                status = HTTPStatus.REQUEST_URI_TOO_LONG
            self._refuse(HTTPStatus(status), "the request's head is longer than 16 KiB")
        else:
            self._refuse(HTTPStatus(status), f"no HTTP request: {error or msg}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the timer with the connection."""
        self._has_asked()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close at the server's stop; a connection that was refused is at its end already."""
        if self._refused:
            self.transport.abort()
        else:
            super().shutdown()

    def leave_room(self) -> None:
        """Cut the connection, which counts no more from now on."""
        self._room.connections.discard(self)
        self._has_asked()
        self.transport.abort()

    def _wait_for_request(self) -> None:
        if self.transport.is_closing() or self._refused:
            return
        self._room.asking[self] = None
        if self._timer is None:
            self._timer = self.loop.call_later(HANDSHAKE_SECONDS, self._too_slow)

    def _has_asked(self) -> None:
        self._room.asking.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self.conn.trailing_data[0]:
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT, f"no whole request within {HANDSHAKE_SECONDS:g} s"
            )
        else:  # as a probe of the port does
            self.leave_room()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        logger.warning(
            "request refused %s", key_values(peer=self.peer, status=status.value, reason=reason)
        )
        self._has_asked()
        self._refused = True
        body = json.dumps({"status": "refused", "reason": reason}).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # A close while more arrives would be a reset, and the answer lost.
        self.transport.write_eof()
        self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)
