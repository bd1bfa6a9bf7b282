"""An HTTP/2 connection over TLS that shows all it receives and sends what it is told (RFC 9113)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from sagemaker_bidi_contract.exchange import ExchangeLog
from sagemaker_bidi_contract.verdicts import Unmet
from sagemaker_bidi_contract.wire.http2_stream import Http2Stream, code_name

_CHUNK = 256 * 1024
_CONNECTION_WINDOW = 2**30


class Lost(Unmet):
    """The connection or the stream ended before its time."""


def tls_context(ca: Path | None, protocols: tuple[str, ...] = ("h2",)) -> ssl.SSLContext:
    """TLS with these protocols to choose from (ALPN).

    Args:
        ca: certificates to trust in place of the system's, which SSL_CERT_FILE replaces too.
        protocols: in the order of preference.
    """
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    # The SDK's TLS library does not hold certificates to RFC 5280's letter either.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(list(protocols))
    return context


class Http2Connection:
    """One connection and its streams; `connect` opens it.

    Args:
        host: where to.
        port: where to.
        log: where frames are written down.
        awaiting: is told what is waited for.
    """

    def __init__(
        self, host: str, port: int, log: ExchangeLog, awaiting: Callable[[str], None]
    ) -> None:
        self.host, self.port = host, port
        self.log = log
        self.goaway: int | None = None
        self.over = ""
        self.streams: dict[int, Http2Stream] = {}
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        # h2 takes GOAWAY for the end of the connection; its open streams go on (RFC 9113 6.8).
        is_open = h2.connection.ConnectionState.CLIENT_OPEN
        self.h2.state_machine._transitions = {
            **self.h2.state_machine._transitions,
            (is_open, h2.connection.ConnectionInputs.RECV_GOAWAY): (None, is_open),
        }
        self._awaiting = awaiting
        self._changed = asyncio.Event()
        self._acked_pings = 0
        self._settled = False
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self, context: ssl.SSLContext, within: float) -> None:
        """Connect, and wait for the server's SETTINGS.

        Raises:
            Unmet: no SETTINGS in time, or no HTTP/2.
            OSError: no TCP connection, or no TLS.
        """
        async with asyncio.timeout(within):
            reader, self._writer = await asyncio.open_connection(self.host, self.port, ssl=context)
        if self.protocol != "h2":
            settled = self.protocol or "nothing"
            raise Unmet(f"ALPN settled on {settled}", "ALPN settles on h2")
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(_CONNECTION_WINDOW)
        self.flush()
        self._reading = asyncio.create_task(self._read(reader))
        await self.until(lambda: self._settled, within, "HTTP/2 SETTINGS from the server")

    @property
    def protocol(self) -> str | None:
        """What ALPN settled on."""
        found: str | None = self._tls.selected_alpn_protocol()
        return found

    @property
    def version(self) -> str:
        """The TLS version."""
        return self._tls.version() or "no TLS"

    @property
    def _tls(self) -> ssl.SSLObject:
        assert self._writer is not None, "not connected"
        found: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        return found

    async def dispose(self) -> None:
        """End the TCP connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.transport.abort()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    def open(self, headers: list[tuple[str, str]], who: str, *, end: bool = False) -> Http2Stream:
        """Send a request's headers."""
        if self.over:
            raise Lost(f"no stream can be opened: {self.over}", "a connection that lives")
        stream = Http2Stream(self, self.h2.get_next_available_stream_id(), who)
        self.streams[stream.id] = stream
        self.h2.send_headers(stream.id, headers, end_stream=end)
        self.flush()
        return stream

    def flush(self) -> None:
        """Write what h2 wants to have sent."""
        data = self.h2.data_to_send()
        if data:
            self.inject(data)

    def inject(self, data: bytes) -> None:
        """Write bytes that are no business of h2; nothing after the connection's end."""
        if self._writer is not None and not self.over:
            self._writer.write(data)

    async def drain(self) -> None:
        """Let others run; a broken connection shows in `over`."""
        if self._writer is not None and not self.over:
            with contextlib.suppress(OSError):
                await self._writer.drain()
        await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool], within: float, what: str) -> None:
        """Wait until what is received makes `condition` true.

        Args:
            condition: looked at after each batch of frames.
            within: seconds.
            what: is waited for, in words.

        Raises:
            Lost: the connection ended first.
            Unmet: it did not come in time.
        """
        self._awaiting(what)
        deadline = time.perf_counter() + within
        while not condition():
            if self.over:
                raise Lost(f"while waiting for {what}: {self.over}", what)
            self._changed.clear()
            try:
                async with asyncio.timeout(max(deadline - time.perf_counter(), 0)):
                    await self._changed.wait()
            except TimeoutError:
                raise Unmet(
                    f"{what} did not come within {within:g} s", f"{what} within {within:g} s"
                ) from None

    async def ping(self, within: float) -> float:
        """Have the server answer a PING; gives the seconds that it took.

        Raises:
            Unmet: no answer in time, or the connection ended.
        """
        count = self._acked_pings + 1
        started = time.perf_counter()
        self.h2.ping(count.to_bytes(8))
        self.flush()
        await self.until(lambda: self._acked_pings >= count, within, "the answer to an HTTP/2 PING")
        return time.perf_counter() - started

    async def _read(self, reader: asyncio.StreamReader) -> None:
        why = "the server ended the TCP connection"
        try:
            while data := await reader.read(_CHUNK):
                for event in self.h2.receive_data(data):
                    self._receive(event)
                self.flush()
                self._changed.set()
        except OSError as error:
            why = f"the TCP connection failed ({error.strerror or type(error).__name__})"
        except h2.exceptions.ProtocolError as error:
            why = f"the server broke HTTP/2 ({type(error).__name__}: {error})"
        if self.goaway is not None:
            why = f"{why} after GOAWAY {code_name(self.goaway)}"
        self.over = why
        self.log.add("connection", "received", why)
        self._changed.set()

    def _receive(self, event: h2.events.Event) -> None:
        stream = self.streams.get(getattr(event, "stream_id", None) or 0)
        match event:
            case h2.events.RemoteSettingsChanged():
                self._settled = True
            case h2.events.PingAckReceived():
                self._acked_pings += 1
            case h2.events.ConnectionTerminated(error_code=code):
                self.goaway = int(code or 0)
                self.log.add("connection", "received", f"GOAWAY {code_name(self.goaway)}")
            case h2.events.ResponseReceived(headers=headers) if stream is not None:
                stream.receive_headers({str(name): str(value) for name, value in headers or []})
            case h2.events.DataReceived(data=data, flow_controlled_length=length) if stream:
                if length:
                    self.h2.increment_flow_control_window(length)
                stream.receive_data(data or b"", length or 0)
            case h2.events.StreamEnded() if stream is not None:
                stream.receive_end()
            case h2.events.StreamReset(error_code=code) if stream is not None:
                stream.receive_reset(int(code or 0))
            case _:
                pass
