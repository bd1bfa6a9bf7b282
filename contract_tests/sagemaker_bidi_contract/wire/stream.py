"""One WebSocket connection, frame by frame, as a check uses it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, State

from sagemaker_bidi_contract.exchange import ExchangeLog, closing
from sagemaker_bidi_contract.verdicts import Unmet
from sagemaker_bidi_contract.wire.received import End, Message
from sagemaker_bidi_fixtures.containers.frames import FrameWire

DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
_QUEUE = 4_096


class FrameStream(FrameWire):
    """An open connection; its reader runs in the background, so that pings are answered.

    Args:
        who: its name in the exchange.
        protocol: past its opening handshake, or before it with a Request or Response to come.
        reader: of the TCP connection.
        writer: of the TCP connection.
        log: where frames are written down.
        awaiting: is told what is waited for.
    """

    def __init__(
        self,
        who: str,
        protocol: Protocol,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        log: ExchangeLog,
        awaiting: Callable[[str], None] = lambda what: None,
    ) -> None:
        super().__init__(protocol, reader, writer)
        self.who = who
        self.end: End | None = None
        self.pings: list[float] = []
        self._log, self._awaiting = log, awaiting
        self._frames: asyncio.Queue[Frame | End] = asyncio.Queue(_QUEUE)
        self.over = asyncio.Event()
        self._passed: deque[Frame] = deque()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read frames, after the opening handshake."""
        self._task = asyncio.create_task(self._read())

    async def handshake(self) -> Request | Response | None:
        """Read the peer's part of the opening handshake.

        Gives None where TCP ended before it, or where it cannot be read: `handshake_exc` of the
        protocol has the reason, and the peer may wait for ever before it ends TCP.
        """
        while not self.events and self.protocol.handshake_exc is None:
            more = await self.read()
            await self.flush()
            if not more:
                break
        event = self.events.popleft() if self.events else None
        return None if isinstance(event, Frame) else event

    async def send(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> None:
        """Send one frame; after the connection's end this does nothing."""
        await self.send_many([Frame(opcode, data, fin)])

    async def send_many(self, frames: list[Frame]) -> None:
        """Send frames back to back, in one write as far as TCP takes it."""
        if self.protocol.state is not State.OPEN:
            return
        for frame in frames:
            self._log.frame(self.who, "sent", frame)
            self.protocol.send_frame(frame)
        await self.flush()

    async def text(self, text: str) -> None:
        """Send a text message in one frame."""
        await self.send(Opcode.TEXT, text.encode())

    async def binary(self, data: bytes) -> None:
        """Send a binary message in one frame."""
        await self.send(Opcode.BINARY, data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close frame; the peer's is received as the end."""
        if self.protocol.state is State.OPEN:
            self._log.add(self.who, "sent", f"Close {closing(Close(code, reason).serialize())}")
            self.protocol.send_close(code, reason)
            await self.flush()

    async def receive(self, within: float, what: str) -> Frame | End:
        """The next frame that is no ping, or the end; the end is given again and again.

        Args:
            within: seconds.
            what: what is waited for, in words.

        Raises:
            Unmet: nothing came in time.
        """
        return await self._receive(time.perf_counter() + within, within, what)

    async def _receive(self, deadline: float, within: float, what: str) -> Frame | End:
        if self._passed:
            return self._passed.popleft()
        if self.end is not None and self._frames.empty():
            return self.end
        self._awaiting(what)
        try:
            async with asyncio.timeout(max(deadline - time.perf_counter(), 0)):
                return await self._frames.get()
        except TimeoutError:
            raise Unmet(
                f"{what} did not come on {self.who} within {within:g} s",
                f"{what} within {within:g} s",
            ) from None

    async def pong(self, payload: bytes, within: float) -> float:
        """Send a ping and wait for its pong; other frames stay to be received.

        Returns:
            Seconds that the pong took.

        Raises:
            Unmet: no pong in time, or the end of the connection.
        """
        started = time.perf_counter()
        await self.send(Opcode.PING, payload)
        await self.pong_of(payload, within)
        return time.perf_counter() - started

    async def pong_of(self, payload: bytes, within: float) -> None:
        """Wait for the pong of a ping that has been sent, as `pong` does."""
        what = f"a pong with the payload of the ping ({len(payload)} bytes)"
        deadline = time.perf_counter() + within
        passed: list[Frame] = []
        try:
            while True:
                match await self._receive(deadline, within, what):
                    case End(how=how):
                        raise Unmet(f"the connection ended: {how}", what)
                    case Frame(opcode=Opcode.PONG, data=data) if bytes(data) == payload:
                        return
                    case Frame() as frame:
                        passed.append(frame)
        finally:
            self._passed.extend(passed)

    async def message(self, within: float, what: str) -> Message | End:
        """The next data message, its fragments joined, or the end.

        Raises:
            Unmet: none in time.
        """
        deadline = time.perf_counter() + within
        kind: Literal["text", "binary"] | None = None
        parts: list[bytes] = []
        while True:
            match await self._receive(deadline, within, what):
                case End() as end:
                    return end
                case Frame(opcode=opcode, data=data, fin=fin) if opcode in DATA:
                    kind = kind or ("binary" if opcode is Opcode.BINARY else "text")
                    parts.append(bytes(data))
                    if fin:
                        return Message(kind, b"".join(parts), len(parts))
                case _:
                    pass

    async def ended(self, within: float, what: str) -> tuple[End, list[Frame]]:
        """Wait for the end; gives the data frames that came before it, too.

        Raises:
            Unmet: no end in time.
        """
        deadline = time.perf_counter() + within
        frames: list[Frame] = []
        while True:
            match await self._receive(deadline, within, what):
                case End() as end:
                    return end, frames
                case Frame() as frame:
                    if frame.opcode in DATA:
                        frames.append(frame)

    def reset(self) -> None:
        """End the TCP connection with RST, without a Close frame."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None and self.end is None:
            self._log.add(self.who, "sent", "TCP reset")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    async def dispose(self) -> None:
        """Give everything back, whatever state the connection is in."""
        # Before anything is waited for: the wait itself may be cancelled.
        self.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        try:
            # The first frames may have come in one segment with the handshake. On past the Close
            # frame: TCP ends in the order of RFC 6455, 7.1.1, server first.
            more = True
            while True:
                while self.events:
                    await self._take(self.events.popleft())
                if self.end is None and (how := self._broken(more)):
                    await self._finish(End(None, "", how, self._wrong))
                await self.flush()
                if not more:
                    break
                more = await self.read()
            self._writer.close()
        except ConnectionError as error:
            if self.end is None:
                how = "reset" if isinstance(error, ConnectionResetError) else str(error)
                await self._finish(End(None, "", f"TCP ended without a Close frame (1006): {how}"))

    @property
    def _wrong(self) -> bool:
        wrong = self.protocol.parser_exc
        return wrong is not None and not isinstance(wrong, EOFError)

    def _broken(self, more: bool) -> str:
        """How the connection has ended without a Close frame; empty where it has not."""
        if self._wrong:
            return f"a frame that breaks RFC 6455: {self.protocol.parser_exc}"
        return "" if more else "TCP ended without a Close frame (1006)"

    async def _take(self, frame: Frame | Request | Response) -> None:
        if self.end is not None or not isinstance(frame, Frame):
            return
        if frame.opcode is not Opcode.CLOSE:
            self._log.frame(self.who, "received", frame)
        match frame.opcode:
            case Opcode.PING:
                self.pings.append(time.perf_counter())
            case Opcode.CLOSE:
                data = bytes(frame.data)
                code = int.from_bytes(data[:2], "big") if data else 1005
                reason = data[2:].decode(errors="replace")
                await self._finish(End(code, reason, f"Close {closing(data)}"))
            case _:
                await self._frames.put(frame)

    async def _finish(self, end: End) -> None:
        self.end = end
        self.over.set()
        self._log.add(self.who, "received", end.how)
        await self._frames.put(end)

    async def flush(self) -> None:
        """Write what the protocol has to say; a peer that is gone is seen by the reader."""
        with contextlib.suppress(ConnectionError):
            await super().flush()
