"""What an application sees: the real AWS SDK against the endpoint (W5, F1-F3, O5)."""

from __future__ import annotations

import asyncio

from sagemaker_bidi_client import Stream, StreamError
from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.refusals import NO_SUCH_ENDPOINT
from sagemaker_bidi_contract.endpoint.stage import EndpointStage
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, ok

_SECONDS = 10.0
_LIMIT = 45.0


async def _within[T](stage: EndpointStage, what: str, waiting: asyncio.Future[T]) -> T:
    """Wait for the SDK.

    Raises:
        Unmet: it did not come in time, or the stream broke.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            return await waiting
    except TimeoutError:
        raise Unmet(f"{what} did not come within {_SECONDS:g} s", what) from None
    except StreamError as error:
        raise Unmet(f"in place of {what}: {error.what}", what) from error


async def _opened(stage: EndpointStage, stream: Stream) -> None:
    await _within(stage, "the 200", asyncio.ensure_future(stream.opened()))


@ENDPOINT.check(
    "endpoint.sdk-opens",
    "The SDK opens a stream and reads its headers",
    clauses=("W5", "W1"),
    requires=("stream",),
    seconds=_LIMIT,
)
async def sdk_opens(stage: EndpointStage) -> Outcome:
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with stage.sdk() as stream:
            opening = await _within(stage, "the 200", asyncio.ensure_future(stream.opened()))
            took = milliseconds(loop.time() - started)
    except StreamError as error:
        return failed(error.what, expected="a stream", advice=error.advice)
    if opening.request_id is None or opening.variant is None:
        seen = f"request id {opening.request_id}, variant {opening.variant}"
        return failed(f"the SDK reads {seen}", expected="both (W2, O7)")
    return ok(f"open after {took}, variant {opening.variant}")


@ENDPOINT.check(
    "endpoint.sdk-echo",
    "What the SDK sends comes back to it",
    clauses=("F1", "F2", "F3"),
    requires=("stream", "echo"),
    seconds=_LIMIT,
)
async def sdk_echo(stage: EndpointStage) -> Outcome:
    whole = [
        (b"text \xc3\xbc", "UTF8", True),
        (bytes(range(256)), "BINARY", True),
        (b"", "UTF8", True),
    ]
    pieces = [(b"first of two, ", "UTF8", False), (b"last of two", "UTF8", True)]
    joined = (b"first of two, last of two", "UTF8", True)
    sent = [*whole, *pieces]
    try:
        async with stage.sdk() as stream:
            await _opened(stage, stream)
            for part in whole:
                await _send(stream, part)
                if (found := await _back(stage, stream, f"part {part}")) != part:
                    return failed(f"{part} came back as {found}", expected=str(part))
            for part in pieces:
                await _send(stream, part)
            # An ordinary container reads messages, and echoes one: endpoint.fragments tells of it.
            if (found := await _back(stage, stream, "the first of two fragments")) == joined:
                return ok(f"{len(whole)} parts came back, and two fragments as one message (F4)")
            for part in pieces:
                if found != part:
                    return failed(f"{part} came back as {found}", expected=str(part))
                if part is not pieces[-1]:
                    found = await _back(stage, stream, "the last of two fragments")
    except StreamError as error:
        return failed(error.what, expected=f"{len(sent)} parts back", advice=error.advice)
    return ok(f"{len(sent)} parts sent and received: text, binary, empty, and two fragments")


type _Sent = tuple[bytes, str | None, bool]


async def _send(stream: Stream, part: _Sent) -> None:
    data, data_type, complete = part
    await stream.send(data, data_type=data_type, complete=complete)


async def _back(stage: EndpointStage, stream: Stream, what: str) -> _Sent | None:
    part = await _within(stage, what, asyncio.ensure_future(stream.receive()))
    return None if part is None else (part.data, part.data_type, part.complete)


@ENDPOINT.check(
    "endpoint.sdk-send-first",
    "The SDK may send before the headers have come",
    clauses=("W5",),
    requires=("stream", "echo"),
    seconds=_LIMIT,
)
async def sdk_send_first(stage: EndpointStage) -> Outcome:
    try:
        async with stage.sdk() as stream:
            await stream.send_text("first")
            part = await _within(stage, "the part", asyncio.ensure_future(stream.receive()))
    except StreamError as error:
        return failed(error.what, expected="a stream", advice=error.advice)
    if part is None or part.data != b"first":
        return failed(f"{part} came back", expected="the part itself")
    return ok("sent before the 200, and came back")


@ENDPOINT.check(
    "endpoint.sdk-refused",
    "The SDK learns that there is no such endpoint",
    clauses=("O5",),
    requires=("stream",),
    seconds=_LIMIT,
)
async def sdk_refused(stage: EndpointStage) -> Outcome:
    try:
        async with stage.sdk(NO_SUCH_ENDPOINT) as stream:
            try:
                async with asyncio.timeout(_SECONDS):
                    await stream.opened()
            except TimeoutError:
                if (error := await stream.why_not_open()) is None:
                    return failed(
                        f"no answer within {_SECONDS:g} s", expected="HTTP 400 ValidationError"
                    )
                raise error from None
    except StreamError as error:
        if (error.status, error.code) != (400, "ValidationError"):
            return departs("O5", error.what, expected="HTTP 400 ValidationError")
        return ok(error.what)
    return failed("a stream opened on an endpoint that nobody made", expected="HTTP 400")
