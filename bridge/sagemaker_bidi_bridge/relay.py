"""The two directions of a session, and how each end of one side is brought to the other."""

import asyncio
import json
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, CloseCode

from sagemaker_bidi_bridge.endings import (
    BackendEnded,
    Outcome,
    SageMakerEnded,
    backend_ended,
    close_frame,
    not_text,
    sagemaker_ended,
)
from sagemaker_bidi_bridge.observe import Kind, SessionObserver, SideEnd, key_values
from sagemaker_bidi_bridge.sessions import Cut, Session
from sagemaker_bidi_bridge.settings import Settings

logger = logging.getLogger("bridge.relay")

# What a send to SageMaker raises once that side is gone. RuntimeError is the server's answer
# after it has closed the connection itself, over a frame that it could not accept.
_SAGEMAKER_GONE = (WebSocketDisconnect, OSError, RuntimeError)

# Messages that one direction passes before others have their turn: reading what has arrived, and
# writing what a socket takes at once, never suspend by themselves.
_TURN_MESSAGES = 32


@dataclass(frozen=True, slots=True)
class RelayEnd:
    """How a session ended: who ended it first, and both connections."""

    ended_by: Literal["sagemaker", "vllm", "bridge"]
    failed: bool
    sagemaker: SideEnd
    vllm: SideEnd


class Relay:
    """Carries messages between SageMaker's socket and vLLM's until one of them ends.

    Each message is passed on before the next one is read, so a slow side slows the other through
    TCP, and nothing is queued here. After a number of messages all other sessions, and /ping, have
    their turn.

    Args:
        sagemaker: accepted.
        backend: open.
        session: its `cut` ends the relay.
        observer: is told of every message.
        settings: gives the time limits.
    """

    def __init__(
        self,
        sagemaker: WebSocket,
        backend: ClientConnection,
        session: Session,
        observer: SessionObserver,
        settings: Settings,
    ) -> None:
        self.sagemaker = sagemaker
        self.backend = backend
        self.session = session
        self.observer = observer
        self.settings = settings
        self._now = asyncio.get_running_loop().time
        self._passed_at = self._now()

    async def run(self) -> RelayEnd:
        """Relay until the session is over and both connections are closed."""
        upward = asyncio.create_task(self._to_vllm())
        downward = asyncio.create_task(self._to_sagemaker())
        watch = asyncio.create_task(self._idle())
        try:
            outcome = await self._first_end({upward, downward, watch, self.session.cut})
            await _cancel(upward, downward, watch)
            return await self._close(outcome)
        finally:
            await _cancel(upward, downward, watch)
            self.backend.transport.abort()

    async def _first_end(self, waiting: set[asyncio.Future[Any]]) -> Outcome:
        try:
            while True:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for source in done:
                    outcome: Outcome | None = source.result()
                    if outcome is not None:
                        return outcome
                # vLLM takes no more; what it has sent is still on its way to SageMaker.
        except Exception as error:
            logger.exception("session failed %s", key_values(id=self.session.session_id))
            return Cut(CloseCode.INTERNAL_ERROR, f"the bridge failed: {type(error).__name__}")

    async def _idle(self) -> Outcome | None:
        """End a session that passes nothing either way: its place is another's."""
        if (limit := self.settings.idle_seconds) is None:
            return None
        while True:
            left = self._passed_at + limit - self._now()
            if left <= 0:
                reason = f"no message in either direction for {limit:g} s"
                return Cut(CloseCode.POLICY_VIOLATION, reason)
            await asyncio.sleep(left)

    async def _to_vllm(self) -> Outcome | None:
        """Pass messages up until SageMaker ends (an outcome) or vLLM takes no more (None)."""
        passed = 0
        while True:
            passed += 1
            if passed % _TURN_MESSAGES == 0:
                await asyncio.sleep(0)
            message = await self.sagemaker.receive()
            if message["type"] == "websocket.disconnect":
                return sagemaker_ended(message)
            text = message.get("text")
            data: str | bytes = message["bytes"] if text is None else text
            size, kind = _measure(data)
            self.observer.received("sagemaker", size, kind)
            if isinstance(data, bytes) and not self.settings.strict_data_type:
                try:
                    data = data.decode()
                except UnicodeDecodeError as error:
                    return Cut(CloseCode.INVALID_DATA, not_text(error.start))
            try:
                async with asyncio.timeout(self.settings.stall_seconds):
                    await self.backend.send(data)
            except TimeoutError:
                return self._stalled("vLLM")
            except ConnectionClosed:
                return None
            self._passed_at = self._now()
            self.session.life.sent(data, self._passed_at)
            self.observer.sent("vllm", size, "binary" if isinstance(data, bytes) else "text")

    async def _to_sagemaker(self) -> Outcome:
        """Pass messages down until vLLM has ended and everything it sent is delivered."""
        gone, passed = False, 0
        while True:
            passed += 1
            if passed % _TURN_MESSAGES == 0:
                await asyncio.sleep(0)
            try:
                data = await self.backend.recv()
            except ConnectionClosed as error:
                self.session.life.dropped()
                return backend_ended(error)
            size, kind = _measure(data)
            self.observer.received("vllm", size, kind)
            self._passed_at = self._now()
            self.session.life.heard(data, self._passed_at)
            if gone:
                # Go on reading: vLLM must not block on us before SageMaker's own end, which
                # the other direction is about to read, reaches it.
                continue
            self.session.life.hold()
            try:
                async with asyncio.timeout(self.settings.stall_seconds):
                    if isinstance(data, str):
                        await self.sagemaker.send_text(data)
                    else:
                        await self.sagemaker.send_bytes(data)
            except TimeoutError:
                return self._stalled("SageMaker")
            except _SAGEMAKER_GONE:
                gone = True
            else:
                self.observer.sent("sagemaker", size, kind)
            self.session.life.release()

    def _stalled(self, side: str) -> Cut:
        limit = self.settings.stall_seconds
        return Cut(CloseCode.INTERNAL_ERROR, f"{side} left a message untaken for {limit:g} s")

    async def _close(self, outcome: Outcome) -> RelayEnd:
        match outcome:
            case SageMakerEnded(end, to_vllm):
                vllm = await self._close_backend(to_vllm)
                return RelayEnd("sagemaker", end.code not in (1000, 1001), end, vllm)
            case BackendEnded(end, to_sagemaker):
                sagemaker = await self._close_sagemaker(to_sagemaker)
                return RelayEnd("vllm", to_sagemaker.code != 1000, sagemaker, end)
            case Cut(code, reason):
                close = close_frame(code, reason)
                sagemaker, vllm = await _both(
                    self._close_sagemaker(close), self._close_backend(close)
                )
                return RelayEnd("bridge", True, sagemaker, vllm)

    async def _close_sagemaker(self, close: Close) -> SideEnd:
        try:
            async with asyncio.timeout(self.settings.close_seconds):
                if self.settings.model_stream_error and close.code != CloseCode.NORMAL_CLOSURE:
                    await self.sagemaker.send_text(_model_stream_error(close))
                await self.sagemaker.close(close.code, close.reason)
        except TimeoutError:
            self.session.abort()
            return SideEnd("cut", None, f"SageMaker did not take Close {close.code}")
        except _SAGEMAKER_GONE:
            return SideEnd("lost", None, f"gone before Close {close.code} could be sent")
        return SideEnd("sent", close.code, close.reason)

    async def _close_backend(self, close: Close) -> SideEnd:
        # websockets stops reading when its queue is full, and would not see the answer.
        discarding = asyncio.create_task(_discard(self.backend))
        try:
            async with asyncio.timeout(self.settings.close_seconds):
                await self.backend.close(close.code, close.reason)
        except TimeoutError:
            self.backend.transport.abort()
        finally:
            await _cancel(discarding)
        await self.backend.wait_closed()
        error = self.backend.protocol.close_exc
        if error.sent is not None and error.rcvd is None:
            return SideEnd("cut", close.code, "vLLM did not answer the Close frame")
        return backend_ended(error).end


def _measure(data: str | bytes) -> tuple[int, Kind]:
    """Size in bytes on the wire, and kind, of a message."""
    if isinstance(data, bytes):
        return len(data), "binary"
    return (len(data) if data.isascii() else len(data.encode())), "text"


def _model_stream_error(close: Close) -> str:
    message = f"{close.reason or 'the stream ended early'} ({close.code})"
    return json.dumps({"ModelStreamError": {"ErrorCode": "StreamBroken", "Message": message}})


async def _discard(backend: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            await backend.recv()


async def _both(
    first: Coroutine[Any, Any, SideEnd], second: Coroutine[Any, Any, SideEnd]
) -> tuple[SideEnd, SideEnd]:
    async with asyncio.TaskGroup() as group:
        tasks = group.create_task(first), group.create_task(second)
    return tasks[0].result(), tasks[1].result()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
