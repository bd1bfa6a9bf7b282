"""The container of the benchmarks: WebSocket with as little work for each frame as Python allows.

`echo` sends each frame back as it came. `voice` takes what it is sent and sends 60-byte frames on
a clock of 80 ms, as a speech model does; a frame of its carries when it was sent and when the
latest frames of the client arrived, on the clock that all processes of a machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import struct
import time
from collections import deque
from typing import cast

from websockets.speedups import apply_mask

from benchmarks.load.loop import run

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, MASKED = 0x80, 0x80

VOICE_INTERVAL = 0.08
VOICE_BYTES = 60
STAMP = struct.Struct(">IQB")
ARRIVAL = struct.Struct(">IQ")
ARRIVALS = (VOICE_BYTES - STAMP.size) // ARRIVAL.size


def frame_head(first: int, length: int) -> bytes:
    """The bytes before the payload of an unmasked frame (RFC 6455 5.2).

    Args:
        first: FIN bit and opcode.
        length: of the payload, bytes.
    """
    if length < 126:
        return bytes((first, length))
    if length < 65_536:
        return struct.pack(">BBH", first, 126, length)
    return struct.pack(">BBQ", first, 127, length)


class EchoContainer(asyncio.Protocol):
    """One connection to the container: the upgrade, then each frame back."""

    def __init__(self) -> None:
        self._rest = b""
        self._upgraded = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer the upgrade or take frames."""
        if self._rest:
            data = self._rest + data
        if not self._upgraded:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            self._answer(head)
        self._rest = data[self._frames(data) :] if data else b""

    def _answer(self, head: bytes) -> None:
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        key = fields.get(b"sec-websocket-key")
        if key is None:
            # The health check of the emulator.
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self._transport.close()
            return
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: " + accept + b"\r\n\r\n"
        )
        self._upgraded = True
        self.opened()

    def _frames(self, data: bytes) -> int:
        """Take the whole frames at the front; gives how many bytes they were."""
        out: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= 6:
            first, second = data[at], data[at + 1]
            length, body = second & 0x7F, at + 6
            if length == 126:
                length, body = int.from_bytes(data[at + 2 : at + 4]), at + 8
            elif length == 127:
                length, body = int.from_bytes(data[at + 2 : at + 10]), at + 14
            if end < body + length:
                break
            payload = apply_mask(data[body : body + length], data[body - 4 : body])
            at = body + length
            opcode = first & 0x0F
            if opcode < CLOSE:
                self.taken(first, payload, out)
            elif opcode == PING:
                out += (frame_head(FIN | PONG, length), payload)
            elif opcode == CLOSE:
                out += (frame_head(first, length), payload)
                self._transport.write(b"".join(out))
                self._transport.close()
                return end
        if out:
            self._transport.write(b"".join(out))
        return at

    def opened(self) -> None:
        """The WebSocket is open."""

    def taken(self, first: int, payload: bytes, out: list[bytes]) -> None:
        """A data frame came; add to `out` what goes back."""
        out += (frame_head(first, len(payload)), payload)


class VoiceContainer(EchoContainer):
    """One voice session: takes 5.6 KB frames, sends 60 bytes each 80 ms."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived: deque[tuple[int, int]] = deque()
        self._received = 0
        self._sent = 0
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def opened(self) -> None:
        """Begin to speak."""
        loop = asyncio.get_running_loop()
        self._next = loop.time() + VOICE_INTERVAL
        self._timer = loop.call_at(self._next, self._speak)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop speaking."""
        if self._timer is not None:
            self._timer.cancel()

    def taken(self, first: int, payload: bytes, out: list[bytes]) -> None:
        """Note when a frame came."""
        self._arrived.append((self._received, time.monotonic_ns()))
        self._received += 1

    def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        told = [self._arrived.popleft() for _ in range(min(ARRIVALS, len(self._arrived)))]
        stamp = STAMP.pack(self._sent, time.monotonic_ns(), len(told))
        body = stamp + b"".join(ARRIVAL.pack(*each) for each in told)
        self._transport.write(
            frame_head(FIN | BINARY, VOICE_BYTES) + body.ljust(VOICE_BYTES, b"\0")
        )
        self._sent += 1
        self._next += VOICE_INTERVAL
        self._timer = loop.call_at(self._next, self._speak)


async def serve(kind: str, port: int) -> None:
    """Serve until the process is stopped; says on standard output when it listens.

    Args:
        kind: `echo` or `voice`.
        port: TCP port on 127.0.0.1.
    """
    container = {"echo": EchoContainer, "voice": VoiceContainer}[kind]
    server = await asyncio.get_running_loop().create_server(
        container, "127.0.0.1", port, backlog=1024
    )
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.container")
    parser.add_argument("kind", choices=("echo", "voice"))
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    run(serve(options.kind, options.port))
