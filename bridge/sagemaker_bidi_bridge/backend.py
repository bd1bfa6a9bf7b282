"""Reaching vLLM: the WebSocket of a session, and the health page."""

import asyncio
import errno
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.protocol import Event

from sagemaker_bidi_bridge.settings import Settings
from sagemaker_bidi_bridge.turns import Backlog

# At DEBUG, websockets logs the text of each frame: this logger never goes there.
_wire_logger = logging.getLogger("bridge.wire")
_wire_logger.setLevel(logging.INFO)

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_STATUS_LINE_BYTES = 8_192


class BackendConnection(ClientConnection):
    """A connection that ends even where the peer sends a Close frame and leaves TCP open.

    websockets looks at its closing deadline only while something is being sent; a session whose
    client is silent would wait for ever. And what was read is parsed in turns.
    """

    _deadline: asyncio.TimerHandle | None = None
    _busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the backlog decide what is read, in place of the queue of frames alone."""
        super().connection_made(transport)
        frames = self.recv_messages
        self._backlog = Backlog(self.transport, self._parse, lambda: not frames.paused)
        frames.pause, frames.resume = (lambda: None), self._backlog.go_on

    def data_received(self, data: bytes) -> None:
        """Parse what this turn allows."""
        self._backlog.add(data)

    def process_event(self, event: Event) -> None:
        """Note that a frame has ended."""
        self._busy = True
        super().process_event(event)

    def _parse(self, data: bytes) -> bool:
        """Start the closing deadline with the first Close frame, in either direction."""
        self._busy = False
        super().data_received(data)
        if self._deadline is None and self.protocol.close_expected():
            self._deadline = self.loop.call_later(self.close_timeout or 0, self.transport.abort)
        return self._busy

    def connection_lost(self, exc: Exception | None) -> None:
        """Parse what is left, and drop the deadline with the connection."""
        self._backlog.finish()
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)


class BackendUnavailable(Exception):
    """vLLM cannot be reached, or does not take a session; the message says why.

    Args:
        reason: why, without a secret.
        refused: vLLM has answered the upgrade with another status than 101. That does not pass by
            itself, as a moment without an answer does.
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


async def open_backend(
    settings: Settings, headers: Mapping[str, str] | None = None, path: str = ""
) -> ClientConnection:
    """Open a WebSocket to vLLM within the budget that SageMaker's own limit leaves (O3).

    Args:
        settings: gives the URL, the key, the budget and the limits.
        headers: more of them for the upgrade request.
        path: that the client asked for; where it is passed on, the backend is asked for it too.

    Raises:
        BackendUnavailable: refused, unreachable, too slow or not a WebSocket.
    """
    url = settings.backend_at(path)
    ping = settings.backend_ping_seconds
    sent = dict(headers or {})
    if (key := settings.backend_api_key) is not None:
        sent["Authorization"] = f"Bearer {key.get_secret_value()}"
    try:
        return await connect(
            url,
            additional_headers=sent,
            compression=None,
            # A proxy from the environment is for the way out, and vLLM is in this container.
            proxy=None,
            open_timeout=settings.open_timeout_ms / 1_000,
            ping_interval=ping,
            ping_timeout=ping,
            close_timeout=settings.close_seconds,
            max_size=settings.max_message_bytes,
            logger=_wire_logger,
            create_connection=BackendConnection,
        )
    except TimeoutError as error:
        raise BackendUnavailable(
            f"vLLM at {url} did not accept within {settings.open_timeout_ms} ms"
        ) from error
    except InvalidStatus as error:
        status = error.response.status_code
        raise BackendUnavailable(
            f"vLLM at {url} refused the upgrade with HTTP {status}{_hint(status, settings)}",
            refused=True,
        ) from error
    except WebSocketException as error:
        raise BackendUnavailable(f"vLLM at {url} broke the opening handshake: {error}") from error
    except OSError as error:
        raise BackendUnavailable(_unreachable(url, error)) from error


def _unreachable(url: str, error: OSError) -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"the bridge has no file descriptor left for vLLM: {error}; raise `ulimit -n`"
    return f"vLLM at {url} cannot be reached: {error}"


def _hint(status: int, settings: Settings) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED if settings.backend_api_key is None:
            return ": it wants an API key; give it in BRIDGE_BACKEND_API_KEY or VLLM_API_KEY"
        case HTTPStatus.UNAUTHORIZED:
            return ": it wants another API key than BRIDGE_BACKEND_API_KEY or VLLM_API_KEY gives"
        case HTTPStatus.FORBIDDEN | HTTPStatus.NOT_FOUND:
            return ": is the path in BRIDGE_BACKEND_URL right?"
        case _:
            return ""


class Door:
    """Whether vLLM takes sessions at all, which its health page does not tell.

    It is 200 where a key is missing or wrong, or where the path is none of vLLM's: no session
    opens then, and SageMaker would go on sending them. One upgrade is tried before the first
    health check that passes, and again after a session has been refused.

    Args:
        settings: where the door is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known_open = False

    def opened(self) -> None:
        """A session was let in."""
        self._known_open = True

    def forget(self) -> None:
        """What was known may not hold any more: a session was refused, or vLLM was away."""
        self._known_open = False

    async def why_shut(self) -> str | None:
        """Try it, where it is not known to be open; gives vLLM's reason for refusing."""
        if self._known_open:
            return None
        try:
            connection = await open_backend(self._settings)
        except BackendUnavailable as error:
            # A vLLM that is only slow, or on its way, is for its health page to tell.
            return str(error) if error.refused else None
        self._known_open = True
        connection.transport.abort()
        return None


async def why_unhealthy(settings: Settings) -> str | None:
    """Ask vLLM's health page, and give up before SageMaker would (K4).

    Args:
        settings: gives the URL and the budget.

    Returns:
        None when vLLM answered 200, else what happened.
    """
    url = settings.backend_health_url
    try:
        async with asyncio.timeout(settings.health_timeout_ms / 1_000):
            status = await _status_of(url)
    except TimeoutError:
        return f"vLLM's {url} did not answer within {settings.health_timeout_ms} ms"
    except OSError as error:
        return _unreachable(url, error)
    except ValueError:
        return f"vLLM's {url} did not answer with HTTP"
    return None if status == HTTPStatus.OK else f"vLLM's {url} answered HTTP {status}"


async def _status_of(url: str) -> int:
    """GET a page and read no more than the status of the answer."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if secure else 80),
        ssl=secure or None,
        limit=_STATUS_LINE_BYTES,
    )
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        found = _STATUS_LINE.match(await reader.readline())
    finally:
        writer.transport.abort()
    if found is None:
        raise ValueError("no HTTP status line")
    return int(found[1])
