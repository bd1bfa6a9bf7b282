"""An endpoint that is no SageMaker: it looks at no signature, and is wrong in ways of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trustme

from sagemaker_bidi_contract.wire.events import Malformed, Messages


@dataclass(frozen=True)
class Ways:
    """What it does otherwise than SageMaker.

    Args:
        waits_for_input: the 200 comes after the first event.
        drains: what was sent before the input's end comes back before the response's end.
        hangs_on: input with these bytes in it stops the stream for good.
        forgets: the name of a response header that is left out.
    """

    waits_for_input: bool = False
    drains: bool = True
    hangs_on: bytes = b""
    forgets: str = ""


@dataclass(frozen=True)
class OtherEndpoint:
    """Where it is, and whom to trust."""

    url: str
    ca: Path


@asynccontextmanager
async def other_endpoint(ways: Ways, folder: Path) -> AsyncIterator[OtherEndpoint]:
    """Listen on a free port; `folder` takes the certificate of its authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, h2.exceptions.ProtocolError):
            await _Connection(ways, writer).run(reader)
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        yield OtherEndpoint(f"https://127.0.0.1:{port}", ca)


class _Connection:
    """Echoes the events of each stream without their signatures."""

    def __init__(self, ways: Ways, writer: asyncio.StreamWriter) -> None:
        self._ways, self._writer = ways, writer
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._input: dict[int, Messages] = {}
        self._answered: set[int] = set()
        self._hung: set[int] = set()

    async def run(self, reader: asyncio.StreamReader) -> None:
        self._h2.initiate_connection()
        self._writer.write(self._h2.data_to_send())
        while data := await reader.read(65_536):
            for event in self._h2.receive_data(data):
                self._receive(event)
            self._writer.write(self._h2.data_to_send())

    def _receive(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(stream)):
                self._input[stream] = Messages()
                if not self._ways.waits_for_input:
                    self._answer(stream)
            case h2.events.DataReceived(stream_id=int(stream), flow_controlled_length=length):
                self._h2.acknowledge_received_data(length or 0, stream)
                self._take(stream, event.data or b"")
            case h2.events.StreamEnded(stream_id=int(stream)) if stream not in self._hung:
                self._answer(stream)
                self._h2.end_stream(stream)
            case _:
                pass

    def _answer(self, stream: int) -> None:
        if stream in self._answered:
            return
        self._answered.add(stream)
        headers = {
            "content-type": "application/vnd.amazon.eventstream",
            "x-amzn-requestid": f"request-{stream}",
            "x-amzn-invoked-production-variant": "other",
        }
        headers.pop(self._ways.forgets, None)
        self._h2.send_headers(stream, [(":status", "200"), *headers.items()])

    def _take(self, stream: int, data: bytes) -> None:
        if self._ways.hangs_on and self._ways.hangs_on in data:
            self._hung.add(stream)
        if stream in self._hung:
            return
        messages = self._input[stream]
        messages.receive(data)
        with suppress(Malformed):
            while (event := messages.next()) is not None:
                self._answer(stream)
                if event.payload and self._ways.drains:
                    self._h2.send_data(stream, event.payload)
