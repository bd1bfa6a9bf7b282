"""A middlebox that keeps the server's first bytes back until its client has sent much by itself.

On a busy machine a client's thread may run before the server's: it then sends on the windows that
HTTP/2 begins with, and sees the server's SETTINGS only later (RFC 9113 6.9.2, 6.9.3).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from typing import Self
from urllib.parse import urlsplit

from hyperframe.frame import DataFrame, Frame, SettingsFrame, WindowUpdateFrame

from sagemaker_bidi.transport.identity import load_identity

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FIRST_WINDOW = 65_535  # bytes, RFC 9113 6.9.2


class HeldBack:
    """Ends TLS on both sides, reads the frames and holds back what the server says first.

    Args:
        server: the URL to which the connections go on.
        until: bytes of DATA from the client, after which the server is heard.

    Attributes:
        trace: one line for each frame that says how much may be sent, in the order of passing:
            `>` from the client, `<` from the server.
        data: bytes of DATA that the client has sent, by stream.
    """

    def __init__(self, server: str, until: int = FIRST_WINDOW) -> None:
        self.trace: list[str] = []
        self.data: Counter[int] = Counter()
        self._server = urlsplit(server)
        self._until = until
        self._heard = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        context = load_identity().server_context()
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.url = f"https://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._listening.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = ssl.create_default_context(cafile=str(load_identity().ca))
        context.set_alpn_protocols(["h2"])
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        answers, onwards = await asyncio.open_connection(
            self._server.hostname, self._server.port, ssl=context
        )
        try:
            await asyncio.gather(
                self._from_client(reader, onwards), self._from_server(answers, writer)
            )
        except (OSError, asyncio.CancelledError):
            pass  # The client has left, or the test has.
        finally:
            onwards.transport.abort()
            writer.transport.abort()
            self._tasks.discard(task)

    async def _from_client(
        self, reader: asyncio.StreamReader, onwards: asyncio.StreamWriter
    ) -> None:
        frames = bytearray()
        greeted = False
        while data := await reader.read(65_536):
            onwards.write(data)
            frames += data
            if not greeted and len(frames) >= len(PREFACE):
                del frames[: len(PREFACE)]
                greeted = True
            if greeted:
                self._read(frames, ">")
            if self.data.total() >= self._until:
                self._heard.set()
        onwards.close()

    async def _from_server(self, answers: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        frames = bytearray()
        await self._heard.wait()
        while data := await answers.read(65_536):
            frames += data
            self._read(frames, "<")
            back.write(data)
        back.close()

    def _read(self, frames: bytearray, direction: str) -> None:
        while len(frames) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(bytes(frames[:9])))
            if len(frames) < 9 + length:
                return
            frame.parse_body(memoryview(bytes(frames[9 : 9 + length])))
            del frames[: 9 + length]
            match frame:
                case DataFrame() if direction == ">":
                    self.data[frame.stream_id] += length
                    said = f"DATA {length} on {frame.stream_id}: {self.data[frame.stream_id]}"
                case WindowUpdateFrame():
                    said = f"WINDOW_UPDATE +{frame.window_increment} on {frame.stream_id}"
                case SettingsFrame():
                    settings = ", ".join(f"{key}={value}" for key, value in frame.settings.items())
                    said = f"SETTINGS {'ACK' if 'ACK' in frame.flags else settings}"
                case _:
                    continue
            self.trace.append(f"{direction} {said}")
