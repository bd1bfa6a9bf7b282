"""SageMaker's WebSocket on uvicorn: turns, text that is no text, and the transport to hold."""

import asyncio
import logging
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from sagemaker_bidi_bridge.endings import not_text
from sagemaker_bidi_bridge.observe import key_values
from sagemaker_bidi_bridge.turns import Backlog

logger = logging.getLogger("bridge.server")

ABORT = "bridge_abort"
"""Key in the ASGI scope's `state`: cuts the connection, whatever its peer takes or sends."""


class Wire(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, of which no client can take more than its turn of the event loop."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, {**app_state, ABORT: self._abort})
        self._taken = True
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read in turns."""
        super().connection_made(transport)
        self._backlog = Backlog(self.transport, self._parse, lambda: self._taken or self.close_sent)

    def data_received(self, data: bytes) -> None:
        """Parse what this turn allows."""
        self._backlog.add(data)

    def handle_events(self) -> None:
        """Note whether a frame has ended."""
        self._busy = bool(self.conn.events)
        super().handle_events()

    def send_receive_event_to_app(self) -> None:
        """Hand a message to the session; what is tagged as text and is none ends it with 1007."""
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return  # what comes after our Close frame is read until the peer's own, and dropped
        if self.curr_msg_data_type == "text":
            try:
                self.queue.put_nowait({"type": "websocket.receive", "text": data.decode()})
            except UnicodeDecodeError as error:
                self.conn.send_close(1007, not_text(error.start))
                self.handle_parser_exception()
                return
        else:
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        self._taken = False

    async def receive(self) -> Any:
        """Give the session its next message, and parse on when it has taken the last."""
        message = await self.queue.get()
        if self.queue.empty():
            self._taken = True
            self._backlog.go_on()
        return message

    async def send(self, message: Any) -> None:
        """Send, and after a Close frame read on for the peer's."""
        await super().send(message)
        if self.close_sent:
            self._backlog.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the session what had been read."""
        self._backlog.finish()
        super().connection_lost(exc)

    def _parse(self, data: bytes) -> bool:
        self._busy = False
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._unreadable(self.conn.handshake_exc)
        return self._busy or self.conn.parser_exc is not None

    def _unreadable(self, error: Exception) -> None:
        """Answer what HTTP's parser has let pass and the WebSocket's has not: it says nothing."""
        logger.warning("request refused %s", key_values(peer=self.client, status=400, reason=error))
        self.handshake_complete = self.close_sent = True
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        self.transport.close()

    def _abort(self) -> None:
        self.transport.abort()
