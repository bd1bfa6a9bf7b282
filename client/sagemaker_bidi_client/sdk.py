"""The AWS SDK, set up for duplex streams, with its gaps closed.

Everything that touches the SDK's insides stands here, so that an SDK release that moves them
breaks one file; `releases.py` has what goes by another name in another release.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from awscrt.aio.http import AIOHttpClientConnectionUnified, AIOHttpClientStreamUnified
from awscrt.io import ClientTlsContext, TlsContextOptions
from smithy_core.interceptors import Interceptor, OutputContext
from smithy_core.interfaces import URI
from smithy_http.aio.crt import (
    AWSCRTHTTPClient,
    AWSCRTHTTPClientConfig,
    AWSCRTHTTPResponse,
    _AWSCRTEventLoop,
)

PORT = 8443
"""Where SageMaker streams (W1). The SDK's own default is 443, which never answers (W6)."""

_ERROR_BODY_LIMIT = 65_536


@dataclass(frozen=True)
class HttpRefusal:
    """A response that is no stream: HTTP status, headers in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Trusting(AWSCRTHTTPClient):
    """The SDK's HTTP/2 client, told whom to trust.

    The SDK has no other way to say it but the environment of the whole process.

    Args:
        ca: PEM certificates to trust in place of the system's.
    """

    def __init__(self, ca: bytes | None = None) -> None:
        super().__init__(
            eventloop=_event_loop(),
            client_config=AWSCRTHTTPClientConfig(force_http_2=True),
        )
        if ca is not None:
            options = TlsContextOptions()
            options.override_default_trust_store(ca)
            self._tls_ctx = ClientTlsContext(options)

    def __deepcopy__(self, memo: object) -> Self:
        # Releases up to 0.10 copy the configuration for each call, and would forget whom to trust.
        return self


class Transport(Trusting):
    """The SDK's HTTP/2 client, which also notices what the SDK leaves out.

    - A stream that dies before its headers fails; the SDK's own would wait for ever.
    - A connection that isn't HTTP/2 fails; the SDK's own would hold the request back until the
      input is closed.
    - `broken()` tells a reset from a clean end; the SDK reads both as the end.
    - `refusal` keeps the service's words; the SDK drops them from every error that isn't modelled.

    One transport carries one stream.
    """

    def __init__(self, ca: Path | None = None) -> None:
        super().__init__(None if ca is None else ca.read_bytes())
        self.ca = ca
        self.connected = False
        self.refusal: HttpRefusal | None = None
        self.request_id: str | None = None
        self._crt_stream: AIOHttpClientStreamUnified | None = None

    async def _build_new_connection(self, url: URI) -> AIOHttpClientConnectionUnified:
        # As the SDK does it, but for how it waits: see _done.
        options = self._tls_ctx.new_connection_options()
        options.set_server_name(url.host)
        options.set_alpn_list(["h2", "http/1.1"])
        connecting = AIOHttpClientConnectionUnified._generic_new(
            url.host,
            url.port or self._HTTPS_PORT,
            bootstrap=self._client_bootstrap,
            socket_options=self._socket_options,
            tls_connection_options=options,
            proxy_options=None,
            asyncio_connection=True,
        )
        await _done(connecting)
        connection = connecting.result()
        self.connected = True
        return connection

    async def _await_response(self, stream: AIOHttpClientStreamUnified) -> AWSCRTHTTPResponse:
        self._crt_stream = stream
        await _done(stream._response_status_future, stream._completion_future)
        if not stream._response_status_future.done():
            await stream.wait_for_completion()
        response = await super()._await_response(stream)
        headers = {
            name.lower(): field.as_string() for name, field in response.fields.entries.items()
        }
        self.request_id = headers.get("x-amzn-requestid")
        if response.status == 200:
            return response
        body = b""
        length = _length(headers)
        # Not to the end of the stream: awscrt 0.28 tells it only once the input is closed too.
        chunks = response.chunks()
        while len(body) < length and (chunk := await anext(chunks, b"")):
            body += chunk
        self.refusal = HttpRefusal(response.status, headers, body)
        return _Buffered(response, body)

    async def close(self) -> None:
        """Close the connection; releases up to 0.10 leave that to the collector."""
        connections = [*self._connections.values()]
        self._connections.clear()
        closing = (connection.close() for connection in connections)
        await asyncio.gather(*closing, return_exceptions=True)

    def broken(self) -> BaseException | None:
        """Tell why the stream died; None while it lives and where both sides ended it cleanly."""
        completion = getattr(self._crt_stream, "_completion_future", None)
        if completion is None or not completion.done() or completion.cancelled():
            return None
        error: BaseException | None = completion.exception()
        return error

    async def finish_writing(self, seconds: float) -> None:
        """Wait for the request body to be out, at most that many seconds, and stop it there.

        The SDK never looks at the task that writes the body: left alone, asyncio would report its
        error, or its pending state, on standard error long after.
        """
        writer: asyncio.Task[None] | None = getattr(self._crt_stream, "_writer", None)
        if writer is None:
            return
        await asyncio.wait({writer}, timeout=seconds)
        if not writer.done():
            writer.cancel()
            await asyncio.wait({writer}, timeout=seconds)
        if writer.done():
            _forget(writer)


def _length(headers: Mapping[str, str]) -> int:
    told = headers.get("content-length", "")
    return min(int(told), _ERROR_BODY_LIMIT) if told.isdecimal() else _ERROR_BODY_LIMIT


class _Buffered(AWSCRTHTTPResponse):
    """An error response whose body has been read, and can be read again."""

    def __init__(self, response: AWSCRTHTTPResponse, body: bytes) -> None:
        super().__init__(status=response.status, fields=response.fields, stream=response._stream)
        self._bytes = body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield self._bytes


class FailureProbe(Interceptor[Any, Any, Any, Any]):
    """Reports a request that fails before it is sent.

    Without it `invoke_endpoint_with_bidirectional_stream` waits for ever where, for example, there
    are no credentials: the SDK tells the reason to a task that nobody can reach.
    """

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __init__(self) -> None:
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[Any] | None = None

    def read_after_execution(self, context: OutputContext[Any, Any, Any, Any]) -> None:
        if isinstance(context.response, Exception) and not self.failed.done():
            self._task = asyncio.current_task()
            if self._task is not None:
                self._task.add_done_callback(_forget)
            self.failed.set_result(context.response)


def regional_url(region: str) -> str:
    """Give the streaming service's own address in a region, with its port (W1)."""
    if region == "eu-isoe-west-1":
        # The one region whose address has no port in the service model's endpoint tests.
        return f"https://runtime.sagemaker.{region}.cloud.adc-e.uk"
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://runtime.sagemaker.{region}.{suffix}:{PORT}"


@functools.cache
def _event_loop() -> _AWSCRTEventLoop:
    # One thread for all the streams of a process, in place of one thread a stream.
    return _AWSCRTEventLoop()


async def _done(*futures: concurrent.futures.Future[Any]) -> None:
    """Wait until one of some futures of awscrt's threads is done.

    Not as asyncio does it: there a cancelled wait cancels the future too, and awscrt, which then
    can't set its result, prints a traceback and leaves the stream's readers waiting.
    """
    loop = asyncio.get_running_loop()
    settled = asyncio.Event()

    def in_loop(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settled.set)

    for future in futures:
        future.add_done_callback(in_loop)
    await settled.wait()


def _forget(task: asyncio.Future[Any]) -> None:
    """Mark a task's error as seen, so that asyncio doesn't report it."""
    with contextlib.suppress(asyncio.CancelledError):
        task.exception()
