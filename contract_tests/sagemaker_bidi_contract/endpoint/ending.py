"""How a stream ends: by the client, by the container, and with what word (E1-E8, W4)."""

from __future__ import annotations

import json

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.echoing import ECHO_SECONDS, echoed
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.stage import ANSWER_SECONDS, EndpointStage
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, informational, ok
from sagemaker_bidi_contract.wire.duplex import INVOCATION_PATH, Duplex
from sagemaker_bidi_contract.wire.events import Event, WirePart
from sagemaker_bidi_contract.wire.http2_stream import StreamEnd

_END_SECONDS = 10.0
_IN_FLIGHT = 300


async def _to_the_end(duplex: Duplex) -> tuple[list[WirePart], Event | None, StreamEnd]:
    """Parts, an error if one came, and the end.

    Raises:
        Unmet: no end in time.
    """
    parts: list[WirePart] = []
    error: Event | None = None
    while isinstance(got := await duplex.receive(_END_SECONDS, "the end of the response"), Event):
        if got.is_error:
            error = got
        elif (part := got.part) is not None:
            parts.append(part)
    return parts, error, got


@ENDPOINT.check(
    "endpoint.input-end",
    "The signed end of the input and END_STREAM end the stream",
    clauses=("W4", "E2"),
    requires=("stream",),
    seconds=30,
)
async def input_end(stage: EndpointStage) -> Outcome:
    duplex = await stage.open()
    await duplex.close_input()
    _, error, end = await _to_the_end(duplex)
    if not end.clean:
        return failed(f"{error or 'no error'}, then {end.how}", expected="END_STREAM")
    if error is not None:
        return departs("E2", f"{error}, then {end.how}", expected="the end with no error")
    return ok(end.how)


@ENDPOINT.check(
    "endpoint.end-stream-alone",
    "What END_STREAM without the signed end does",
    clauses=("W4",),
    requires=("stream",),
    seconds=30,
)
async def end_stream_alone(stage: EndpointStage) -> Outcome:
    duplex = await stage.open()
    await duplex.send_raw(b"", "END_STREAM alone, as release 0.4.0 of the SDK does", end=True)
    _, error, end = await _to_the_end(duplex)
    return informational(f"{error}, then {end.how}" if error else end.how)


@ENDPOINT.check(
    "endpoint.half-close",
    "Closing the input discards what is under way",
    clauses=("E3",),
    requires=("stream", "echo"),
    seconds=60,
)
async def half_close(stage: EndpointStage) -> Outcome:
    duplex = await stage.open()
    # In one write, so that the end of the input is there before the first echo can be.
    data = b"".join(
        [
            await duplex.sign(WirePart(b"under way %d" % number, "UTF8", "COMPLETE").message())
            for number in range(_IN_FLIGHT)
        ]
    )
    said = f"{_IN_FLIGHT} parts, the signed end and END_STREAM, at once"
    await duplex.send_raw(data + await duplex.sign(None), said, end=True)
    parts, error, end = await _to_the_end(duplex)
    back = f"{len(parts)} of {_IN_FLIGHT} parts came back, then {error or 'no error'}, {end.how}"
    if stage.target.is_aws:
        return informational(back)
    if len(parts) == _IN_FLIGHT:
        return failed(
            f"{back}: nothing was lost",
            expected="what is under way is lost, as it is reported of SageMaker",
            advice="a client that closes its input early works here, and loses its last words on "
            "AWS",
        )
    if error is not None or not end.clean:
        return departs("E3", back, expected="the loss is silent: END_STREAM and no error")
    return ok(back)


@ENDPOINT.check(
    "endpoint.input-after-end",
    "After a complete response the input stays open",
    clauses=("E8",),
)
async def input_after_end(stage: EndpointStage) -> Outcome:
    """A refusal is a complete response too, and needs no container."""
    duplex = await stage.invoke(headers={INVOCATION_PATH: "/with-a-leading-slash"})
    refusal = await duplex.refusal(ANSWER_SECONDS)
    if refusal is None:
        return informational("what should be refused was not; see endpoint.leading-slash")
    # What followed the response has come before the answer to this.
    await duplex.stream.connection.ping(_END_SECONDS)
    if (reset := duplex.stream.reset_after_end) is not None:
        said = f"{refusal}, END_STREAM, then RST_STREAM {reset}"
        return departs("E8", said, expected="no RST_STREAM while the input is open")
    return ok(f"{refusal}, END_STREAM, and no RST_STREAM")


@ENDPOINT.check(
    "endpoint.cancel",
    "RST_STREAM by the client ends one stream, and no other",
    clauses=("W1",),
    requires=("stream",),
)
async def cancel(stage: EndpointStage) -> Outcome:
    on = await stage.connect()
    sibling, duplex = await stage.open(on), await stage.open(on)
    duplex.stream.cancel()
    await on.ping(_END_SECONDS)
    if (end := sibling.stream.end) is not None:
        return failed(f"the other stream ended with {end.how}", expected="it goes on")
    if await stage.missing("echo") is None:
        part = [WirePart(b"still here", "UTF8", "COMPLETE")]
        if await echoed(sibling, part) != part:
            return failed("the other stream lost its part", expected="it goes on")
    return ok("the other stream goes on")


@ENDPOINT.check(
    "endpoint.error-frame",
    "A ModelStreamError in a text frame is an error for the client",
    clauses=("E4", "E5", "E7"),
    requires=("stream", "echo"),
    seconds=30,
)
async def error_frame(stage: EndpointStage) -> Outcome:
    """The echo container sends what it gets: here, the error of a container."""
    body = {"ErrorCode": "CONTRACT_CHECK", "Message": "said by the container"}
    duplex = await stage.open()
    text = json.dumps({"ModelStreamError": body})
    await duplex.send(WirePart(text.encode(), "UTF8", "COMPLETE"))
    got = await duplex.receive(ECHO_SECONDS, "the error")
    if isinstance(got, StreamEnd):
        return departs("E4", f"{got.how} and no error", expected="a ModelStreamError")
    if got.part is not None:
        return departs("E4", "it came as a part like any other", expected="a ModelStreamError")
    return await _model_stream_error(duplex, got, body["ErrorCode"], body["Message"])


@ENDPOINT.check(
    "endpoint.container-close",
    "A Close frame's code and reason come in a ModelStreamError",
    clauses=("E1", "E5", "E7"),
    requires=("closing",),
    seconds=30,
)
async def container_close(stage: EndpointStage) -> Outcome:
    duplex = await stage.open()
    await duplex.send(WirePart(stage.options.message.encode(), "UTF8", "COMPLETE"))
    while True:
        got = await duplex.receive(ECHO_SECONDS, "the error")
        if isinstance(got, StreamEnd):
            return departs("E1", f"{got.how} and no error", expected="a ModelStreamError")
        if got.is_error:
            return await _model_stream_error(duplex, got, "", "1011")


async def _model_stream_error(duplex: Duplex, got: Event, code: str, says: str) -> Outcome:
    """Whether an event is a ModelStreamError of this code that says this, followed by the end."""
    kind = (got.headers.get(":message-type"), got.name)
    if kind != ("exception", "ModelStreamError"):
        return departs("E5", f"it came as {got}", expected="the exception ModelStreamError")
    try:
        body = json.loads(got.payload)
        message, found = str(body["Message"]), str(body.get("ErrorCode", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return departs("E5", f"its payload is {got.payload!r}", expected="JSON with a Message")
    if (code and found != code) or says not in f"{message} {found}":
        wanted = f"the container's own words: {code} {says}".strip()
        return departs("E1", f"it says {found!r}, {message!r}", expected=wanted)
    try:
        end = await duplex.receive(_END_SECONDS, "the end")
    except Unmet:
        return failed(f"{got}, and then no end", expected="END_STREAM")
    if not isinstance(end, StreamEnd) or not end.clean:
        came = end.how if isinstance(end, StreamEnd) else str(end)
        return departs("E7", f"{got}, then {came}", expected="END_STREAM after the error")
    return ok(f"{got}, then {end.how}")
