"""Fuzz target: a whole connection, from the first byte after the TLS handshake.

    python -m tests.fuzz.connection -max_total_time=60

Whatever a client sends, the connection ends, every stream's task ends with it, and nothing raises
out of it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["emulator", "h2", "hpack", "hyperframe"]):
    import h2.config
    import h2.connection

    from sagemaker_bidi.clock import ManualClock
    from sagemaker_bidi.transport.http2.connection import Connection
    from sagemaker_bidi.transport.http2.settings import Http2Settings
    from sagemaker_bidi.transport.http2.stream import Stream

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class _Transport(asyncio.Transport):
    """Takes whatever is written."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "socket": _Socket()}.get(name, default)


class _Socket:
    def setsockopt(self, *arguments: Any) -> None:
        pass


class _Writer:
    """The part of a StreamWriter that a connection uses."""

    def __init__(self) -> None:
        self.transport = _Transport()
        self.write = self.transport.write
        self.close = self.transport.close
        self.get_extra_info = self.transport.get_extra_info

    async def drain(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass


async def _echo(stream: Stream) -> None:
    stream.send_headers(200, [("content-type", "application/octet-stream")])
    while (data := await stream.receive()) is not None:
        stream.send(data)
        await stream.drain()
    stream.end()


async def _serve(data: bytes) -> None:
    reader = asyncio.StreamReader()
    # Half of the inputs come past the preface, or little else would ever be reached.
    reader.feed_data(data[1:] if data[:1] == b"\0" else PREFACE + data)
    reader.feed_eof()
    writer: Any = _Writer()
    connection = Connection(reader, writer, Http2Settings(), _echo, asyncio.Event(), ManualClock())
    async with asyncio.timeout(20):
        await connection.run()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, left


def one_input(data: bytes) -> None:
    """Serve one connection."""
    asyncio.run(_serve(data))


def seeds(folder: Path) -> None:
    """An input to begin with: what a client sends that opens a stream, sends and ends."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    request = [(":method", "POST"), (":scheme", "https"), (":authority", "a"), (":path", "/")]
    client.send_headers(1, request)
    client.send_data(1, b"data")
    client.ping(b"12345678")
    client.send_headers(3, request, end_stream=True)
    client.reset_stream(1)
    sent = client.data_to_send()
    (folder / "whole").write_bytes(b"\0" + sent)
    (folder / "frames").write_bytes(sent.removeprefix(PREFACE))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    corpus = Path(tempfile.mkdtemp(prefix="fuzz-connection-"))
    seeds(corpus)
    atheris.Setup([*sys.argv, str(corpus)], one_input)
    atheris.Fuzz()
