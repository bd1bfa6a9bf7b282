"""TLS and HTTP/2, the response's headers, and who goes first (W1, W2, W5, W6, O7)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.echoing import echoed
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.stage import ANSWER_SECONDS, EndpointStage
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, informational, ok
from sagemaker_bidi_contract.wire.duplex import EVENT_STREAM, ReceivedRefusal
from sagemaker_bidi_contract.wire.events import WirePart
from sagemaker_bidi_contract.wire.http2 import tls_context

_HEADERS_FIRST_SECONDS = 5.0
_PORT_443_SECONDS = 3.0
_HTTPS_PORT = 443


@ENDPOINT.check("endpoint.connection", "TLS, and HTTP/2 by ALPN", clauses=("W1",))
async def connection(stage: EndpointStage) -> Outcome:
    opened = await stage.connect()
    seconds = await opened.ping(ANSWER_SECONDS)
    return ok(f"{opened.version} with ALPN h2, and a PING answered after {milliseconds(seconds)}")


@ENDPOINT.check(
    "endpoint.opens",
    "The 200 comes before any input was sent",
    clauses=("W5", "W1", "W4"),
    seconds=40,
)
async def opens(stage: EndpointStage) -> Outcome:
    duplex = await stage.invoke()
    try:
        refusal = await duplex.refusal(_HEADERS_FIRST_SECONDS)
    except Unmet as wrong:
        return await _opens_late(stage, wrong)
    stage.remember(refusal is None)
    if refusal is not None:
        said = refusal.message
        return failed(
            f"the invocation was answered with {refusal}{f': {said}' if said else ''}",
            expected="HTTP 200",
            advice=_advice(refusal),
        )
    return ok(f"HTTP 200 after {milliseconds(duplex.stream.seconds)}, with nothing sent before")


async def _opens_late(stage: EndpointStage, wrong: Unmet) -> Outcome:
    stage.remember(False)
    duplex = await stage.invoke()
    await duplex.send(WirePart(stage.options.message.encode(), "UTF8"))
    try:
        refusal = await duplex.refusal(ANSWER_SECONDS)
    except Unmet:
        return failed(wrong.summary, expected="an answer to the request")
    stage.remember(refusal is None)
    return departs(
        "W5",
        f"{wrong.summary}; after a first event came {refusal or 'HTTP 200'}",
        expected="the response's headers before any input",
        advice="most clients wait for the headers before they send, and would wait for ever",
    )


def _advice(refusal: ReceivedRefusal) -> str:
    match refusal.status:
        case 403:
            return "check credentials, region, and this machine's clock"
        case 424:
            return "hold the container to its side: bidi check ws://HOST:8080"
        case 400:
            return "check --endpoint-name and --region against what is deployed"
        case _:
            return ""


@ENDPOINT.check(
    "endpoint.content-type",
    "The response's content type is the event stream's",
    clauses=("W1",),
    requires=("stream",),
)
async def content_type(stage: EndpointStage) -> Outcome:
    found = (await stage.open()).stream.headers.get("content-type")
    if found != EVENT_STREAM:
        return departs("W1", f"the content type is {found!r}", expected=EVENT_STREAM)
    return ok(f"content-type: {found}")


@ENDPOINT.check(
    "endpoint.invoked-variant",
    "The response names the variant that was invoked",
    clauses=("W2", "O8"),
    requires=("stream",),
)
async def invoked_variant(stage: EndpointStage) -> Outcome:
    found = (await stage.open()).stream.headers.get("x-amzn-invoked-production-variant")
    if not found:
        header = "X-Amzn-Invoked-Production-Variant"
        return departs("W2", f"there is no {header}", expected=f"{header} with the variant's name")
    return ok(f"variant {found}")


@ENDPOINT.check(
    "endpoint.request-id",
    "Every response has a request id of its own",
    clauses=("O7",),
    requires=("stream",),
)
async def request_id(stage: EndpointStage) -> Outcome:
    on = await stage.connect()
    found = [(await stage.open(on)).stream.headers.get("x-amzn-requestid") for _ in range(2)]
    if not all(found) or len(set(found)) < 2:
        seen = " and ".join(repr(each) for each in found)
        return departs(
            "O7", f"two streams had the request ids {seen}", expected="an x-amzn-requestid each"
        )
    return ok("two streams, two request ids")


@ENDPOINT.check(
    "endpoint.send-first",
    "A client may send before the response's headers have come",
    clauses=("W5",),
    requires=("stream",),
)
async def send_first(stage: EndpointStage) -> Outcome:
    duplex = await stage.invoke()
    part = WirePart(stage.options.message.encode(), "UTF8", "COMPLETE")
    await duplex.send(part)
    await duplex.opened(ANSWER_SECONDS)
    if await stage.missing("echo") is not None:
        return ok("HTTP 200, with an event sent before it")
    got = await duplex.part(ANSWER_SECONDS, "the part itself")
    if got != part:
        return failed(f"the part came back as {got}", expected=str(part))
    return ok("HTTP 200, and what was sent before it came back")


@ENDPOINT.check(
    "endpoint.many-streams",
    "Several streams at once on one connection",
    clauses=("W1",),
    requires=("stream",),
)
async def many_streams(stage: EndpointStage) -> Outcome:
    on = await stage.connect()
    opened = [await stage.invoke(on) for _ in range(4)]
    for duplex in opened:
        await duplex.opened(ANSWER_SECONDS)
    if await stage.missing("echo") is None:
        for number, duplex in enumerate(opened):
            part = WirePart(f"stream {number}".encode(), "UTF8", "COMPLETE")
            if (got := await echoed(duplex, [part])) != [part]:
                shown = ", ".join(map(str, got)) or "nothing"
                return failed(f"stream {number + 1} got {shown}", expected=str(part))
    return ok(f"{len(opened)} streams, all open at once")


@ENDPOINT.check("endpoint.http1", "HTTP/1.1 gets no stream", clauses=("W1",))
async def http1(stage: EndpointStage) -> Outcome:
    context = tls_context(stage.options.ca, ("http/1.1",))
    stage.log.add("http/1.1", "sent", "a TLS handshake with ALPN http/1.1 alone, and a POST")
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            first = await _post(stage, context)
    except TimeoutError:
        return departs("W1", "HTTP/1.1 got no answer", expected="a refusal")
    except OSError as error:
        why = getattr(error, "reason", None) or type(error).__name__
        stage.log.add("http/1.1", "received", f"no connection ({why})")
        return ok(f"no TLS connection without h2 ({why})")
    stage.log.add("http/1.1", "received", first or "the end of the connection")
    if first.startswith("HTTP/1.1 200"):
        return departs("W1", f"HTTP/1.1 was answered with {first}", expected="HTTP/2 only")
    return ok(f"HTTP/1.1 was refused with {first or 'the end of the connection'}")


async def _post(stage: EndpointStage, context: ssl.SSLContext) -> str:
    target = stage.target
    reader, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
    try:
        writer.write(
            f"POST /endpoints/{stage.endpoint}/invocations-bidirectional-stream HTTP/1.1\r\n"
            f"Host: {target.address}\r\nContent-Type: {EVENT_STREAM}\r\n"
            "Content-Length: 0\r\n\r\n".encode("ascii")
        )
        return (await reader.readline()).decode("latin-1").strip()
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@ENDPOINT.check("endpoint.port-443", "What port 443 of the same host does", clauses=("W6",))
async def port_443(stage: EndpointStage) -> Outcome:
    host = stage.target.host
    if stage.target.port == _HTTPS_PORT:
        return informational("the target itself is port 443")
    context = tls_context(stage.options.ca)
    try:
        async with asyncio.timeout(_PORT_443_SECONDS):
            _, writer = await asyncio.open_connection(host, _HTTPS_PORT, ssl=context)
    except TimeoutError:
        return informational(f"no TLS handshake within {_PORT_443_SECONDS:g} s")
    except OSError as error:
        return informational(f"no connection ({error.strerror or type(error).__name__})")
    writer.transport.abort()
    return informational(
        "it takes TLS connections; clients whose URL lacks :8443 wait there without an answer"
    )
