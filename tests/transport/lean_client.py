"""A lean HTTP/2 client that shows everything it receives and can send anything.

It shares no code with the emulator: `h2` for the frames, botocore for the request's signature,
AWS's own signer for the chunks and the SDK's event-stream codec.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from aws_sdk_signers import AsyncEventSigner, AWSCredentialIdentity
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from smithy_aws_event_stream.events import Event, EventHeaderEncoder, EventMessage

LIMIT_SECONDS = 30  # a bound for tests that would otherwise hang, never a wait
REGION = "us-east-1"
KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EVENTS = "STREAMING-AWS4-HMAC-SHA256-EVENTS"


def payload_part(
    payload: bytes, data_type: str | None = None, completion_state: str | None = None
) -> EventMessage:
    """A PayloadPart as the SDK writes it (W3)."""
    headers: dict[str, Any] = {
        ":message-type": "event",
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
    }
    if data_type is not None:
        headers["DataType"] = data_type
    if completion_state is not None:
        headers["CompletionState"] = completion_state
    return EventMessage(headers=headers, payload=payload)


class Lost(ConnectionError):
    """The stream or its connection ended before its time."""


class LeanStream:
    """One stream: the response as it comes, and a request under full control.

    Args:
        reads: whether received DATA is credited to the stream's window.
    """

    def __init__(self, client: LeanClient, stream_id: int, seed: str, *, reads: bool) -> None:
        self.id = stream_id
        self.reads = reads
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.reset: int | None = None
        self._client = client
        self._parsed = 0
        self._signer = AsyncEventSigner(
            initial_signature=seed.encode(), event_encoder_cls=EventHeaderEncoder
        )
        self.key = KEY

    @property
    def status(self) -> int:
        return int(self.headers[":status"])

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None or self._client.lost

    async def opened(self) -> Self:
        """Wait for the response's headers."""
        await self._client.until(lambda: bool(self.headers) or self.over)
        if not self.headers:
            raise Lost(f"no response headers; reset: {self.reset}")
        return self

    async def finished(self) -> bytes:
        """Wait for the end of the response, or its reset; gives the body so far."""
        await self._client.until(lambda: self.over)
        return self.body

    async def receive(self) -> Event | None:
        """The next event-stream message; None at END_STREAM."""
        found: list[Event] = []

        def parsed() -> bool:
            rest = BytesIO(self.body[self._parsed :])
            with contextlib.suppress(Exception):
                if (event := Event.decode(rest)) is not None:
                    found.append(event)
                    self._parsed += rest.tell()
            return bool(found)

        await self._client.until(lambda: parsed() or self.over)
        if found or parsed():
            return found[0]
        if not self.ended:
            raise Lost(f"the stream was lost; reset: {self.reset}")
        left = self.body[self._parsed :]
        assert left == b"", "the response ended inside a message"
        return None

    async def signed(self, event: EventMessage | None) -> bytes:
        """A signed chunk that carries `event`; None makes the end of the input (W4)."""
        arguments: dict[str, Any] = {
            "identity": AWSCredentialIdentity(
                access_key_id=self.key[0], secret_access_key=self.key[1]
            ),
            "properties": {"region": REGION, "service": "sagemaker"},
        }
        if event is None:
            chunk = await self._signer.sign_empty(event=EventMessage(), **arguments)
        else:
            chunk = await self._signer.sign(event=event, **arguments)
        return chunk.encode()

    async def send(
        self, payload: bytes, data_type: str | None = None, completion_state: str | None = None
    ) -> None:
        """Send one signed PayloadPart."""
        await self.write(await self.signed(payload_part(payload, data_type, completion_state)))

    async def close_input(self) -> None:
        """Send the signed end of the input, then END_STREAM (W4)."""
        await self.write(await self.signed(None), end=True)

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Send DATA as the windows allow."""
        view = memoryview(data)
        while view:
            await self._client.until(lambda: self.window > 0 or self.over)
            if self.over:
                raise Lost(f"the stream is over; reset: {self.reset}")
            size = min(self.window, self._client.h2.max_outbound_frame_size, len(view))
            self._client.h2.send_data(self.id, bytes(view[:size]))
            view = view[size:]
            self._client.flush()
        if end:
            self.end()

    def end(self) -> None:
        """Send END_STREAM and nothing before it."""
        self._client.h2.end_stream(self.id)
        self._client.flush()

    @property
    def window(self) -> int:
        """What the server lets this stream send now, bytes."""
        if self.over:
            return 0
        return self._client.h2.local_flow_control_window(self.id)

    def cancel(self, code: int = 8) -> None:
        """Send RST_STREAM."""
        self._client.h2.reset_stream(self.id, code)
        self.reset = code
        self._client.flush()


class LeanClient:
    """One HTTP/2 connection: `async with LeanClient(emulator.url, emulator.ca) as client`."""

    def __init__(self, url: str, ca: Path) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.host, self.port = parts.hostname, parts.port
        self.streams: dict[int, LeanStream] = {}
        self.goaway: int | None = None
        self.acked_pings = 0
        self.lost = False
        self._ca = ca
        self._changed = asyncio.Event()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        # h2 takes a GOAWAY for the end; open streams go on after it (RFC 9113 6.8).
        transitions = dict(self.h2.state_machine._transitions)
        is_open = h2.connection.ConnectionState.CLIENT_OPEN
        transitions[is_open, h2.connection.ConnectionInputs.RECV_GOAWAY] = (None, is_open)
        self.h2.state_machine._transitions = transitions

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cafile=str(self._ca))
        context.set_alpn_protocols(["h2"])
        self._reader, self._writer = await asyncio.open_connection(
            self.host, self.port, ssl=context
        )
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(2**30)
        self.flush()
        self._reading = asyncio.create_task(self._read())
        await self.until(lambda: self.h2.max_outbound_frame_size != 16_384)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def abort(self) -> None:
        """End the TCP connection without TLS's close_notify."""
        self._writer.transport.abort()

    def reset(self) -> None:
        """End the TCP connection with RST."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self.abort()

    def write(self, data: bytes) -> None:
        """Send bytes that are no business of `h2`."""
        self._writer.write(data)

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self.lost:
            self._writer.write(data)

    async def until(self, condition: Any) -> None:
        """Wait until what the connection has received makes `condition` true."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def ping(self) -> None:
        """Have the server answer a PING: it has seen everything sent before."""
        count = self.acked_pings + 1
        self.h2.ping(count.to_bytes(8))
        self.flush()
        await self.until(lambda: self.acked_pings >= count or self.lost)
        if self.acked_pings < count:
            raise Lost("the connection ended")

    async def open(
        self,
        endpoint: str = "echo",
        headers: Mapping[str, str] | None = None,
        *,
        path: str | None = None,
        method: str = "POST",
        key: tuple[str, str] | None = KEY,
        token: str | None = None,
        reads: bool = True,
        end: bool = False,
    ) -> LeanStream:
        """Send a signed request; its response is not waited for.

        Args:
            key: access key id and secret; None leaves the request unsigned.
        """
        path = path or f"/endpoints/{endpoint}/invocations-bidirectional-stream"
        authority = f"{self.host}:{self.port}"
        sent = {
            "content-type": "application/vnd.amazon.eventstream",
            "x-amz-content-sha256": EVENTS,
            **(headers or {}),
        }
        seed = "0" * 64
        if key is not None:
            request = AWSRequest(method, f"https://{authority}{path}", headers=sent)
            SigV4Auth(Credentials(*key, token), "sagemaker", REGION).add_auth(request)
            sent = {name.lower(): value for name, value in request.headers.items()}
            seed = sent["authorization"].rpartition("Signature=")[2]
        stream_id = self.h2.get_next_available_stream_id()
        stream = LeanStream(self, stream_id, seed, reads=reads)
        if key is not None:
            stream.key = key
        self.streams[stream_id] = stream
        self.h2.send_headers(
            stream_id,
            [
                (":method", method),
                (":scheme", "https"),
                (":authority", authority),
                (":path", path),
                *sent.items(),
            ],
            end_stream=end,
        )
        self.flush()
        return stream

    async def _read(self) -> None:
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            while data := await self._reader.read(256 * 1024):
                for event in self.h2.receive_data(data):
                    self._receive(event)
                self.flush()
                self._changed.set()
        self.lost = True
        self._changed.set()

    def _receive(self, event: h2.events.Event) -> None:
        stream = self.streams.get(getattr(event, "stream_id", None) or 0)
        match event:
            case h2.events.PingAckReceived():
                self.acked_pings += 1
            case h2.events.ConnectionTerminated(error_code=code):
                self.goaway = int(code or 0)
            case h2.events.ResponseReceived(headers=headers) if stream is not None:
                stream.headers = {str(name): str(value) for name, value in headers or []}
            case h2.events.DataReceived(data=data, flow_controlled_length=length) if stream:
                stream.body += data or b""
                if stream.reads and length:
                    # The stream may have ended later in the same batch of frames.
                    with contextlib.suppress(h2.exceptions.ProtocolError):
                        self.h2.increment_flow_control_window(length, stream.id)
            case h2.events.StreamEnded() if stream is not None:
                stream.ended = True
            case h2.events.StreamReset(error_code=code) if stream is not None:
                stream.reset = int(code or 0)
            case _:
                pass
