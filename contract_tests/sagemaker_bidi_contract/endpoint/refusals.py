"""Endpoints that are not there, containers that do not take the stream, and floods (O4, O5)."""

from __future__ import annotations

import asyncio
from collections import Counter

from h2.errors import ErrorCodes

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.names import well_formed
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.stage import ANSWER_SECONDS, EndpointStage
from sagemaker_bidi_contract.exchange import milliseconds
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, informational, ok
from sagemaker_bidi_contract.wire.duplex import INVOCATION_PATH, Duplex, ReceivedRefusal
from sagemaker_bidi_contract.wire.events import WirePart

NO_SUCH_ENDPOINT = "contract-check-no-such-endpoint"
_UNUSUAL_PATH = "contract-check/no-such-path"
_LATEST = 2.0
_FLOOD = 200
_DATA_FRAME = 16_384


@ENDPOINT.check(
    "endpoint.no-such-endpoint",
    "An endpoint that does not exist is a 400 ValidationError",
    clauses=("O5", "O7"),
    requires=("stream",),
)
async def no_such_endpoint(stage: EndpointStage) -> Outcome:
    refusal = await stage.ask(endpoint=NO_SUCH_ENDPOINT)
    if refusal is None:
        return failed("a stream opened on an endpoint that nobody made", expected="HTTP 400")
    if (refusal.status, refusal.type) != (400, "ValidationError"):
        return departs("O5", f"{refusal}: {refusal.message}", expected="HTTP 400 ValidationError")
    return well_formed(refusal) or ok(f"{refusal}: {refusal.message}")


@ENDPOINT.check(
    "endpoint.early-end",
    "A refusal that comes while the client sends leaves the connection alone",
    clauses=("W1", "O5"),
    requires=("stream",),
)
async def early_end(stage: EndpointStage) -> Outcome:
    """RFC 9113, 8.1: the server may end its response first; DATA under way is then thrown away."""
    on = await stage.connect()
    sibling = await stage.open(on)
    duplex = await stage.invoke(on, endpoint=NO_SUCH_ENDPOINT)
    await duplex.send(WirePart(bytes(_DATA_FRAME), "BINARY"))
    if await duplex.refusal(ANSWER_SECONDS) is None:
        return failed("a stream opened on an endpoint that nobody made", expected="a refusal")
    # h2 would not send on a stream that has been reset, as bytes under way do not know yet.
    frame = _DATA_FRAME.to_bytes(3) + b"\0\0" + duplex.stream.id.to_bytes(4) + bytes(_DATA_FRAME)
    duplex.note(f"2 DATA frames of {_DATA_FRAME:,} bytes, as if they had been under way")
    on.inject(frame * 2)
    seconds = await on.ping(ANSWER_SECONDS)
    if sibling.stream.end is not None:
        return failed(
            f"another stream of the connection ended with {sibling.stream.end.how}",
            expected="the other streams go on",
        )
    after = duplex.stream.reset_after_end
    stopped = f", then RST_STREAM {after}" if after else ""
    return ok(
        f"END_STREAM{stopped}; the connection lives (PING answered after {milliseconds(seconds)})"
    )


@ENDPOINT.check(
    "endpoint.unknown-path",
    "A path that the container does not serve is a 424 ModelError",
    clauses=("O4", "O7", "O2"),
    requires=("stream",),
)
async def unknown_path(stage: EndpointStage) -> Outcome:
    refusal = await stage.ask(headers={INVOCATION_PATH: _UNUSUAL_PATH})
    if refusal is None:
        return informational(f"the container takes streams on /{_UNUSUAL_PATH} too")
    return model_error(refusal)


@ENDPOINT.check(
    "endpoint.upgrade-refused",
    "A container that refuses the WebSocket is a 424 ModelError",
    clauses=("O4", "O7"),
    requires=("refusing",),
)
async def upgrade_refused(stage: EndpointStage) -> Outcome:
    refusal = await stage.ask()
    if refusal is None:
        return failed("the stream opened", expected="HTTP 424 ModelError")
    return model_error(refusal)


def model_error(refusal: ReceivedRefusal) -> Outcome:
    """Whether a refusal is the 424 of a container that does not take the stream (O4)."""
    if (refusal.status, refusal.type) != (424, "ModelError"):
        return departs("O4", f"{refusal}: {refusal.message}", expected="HTTP 424 ModelError")
    if (wrong := well_formed(refusal)) is not None:
        return wrong
    body = refusal.body or {}
    missing = [name for name in ("ErrorCode", "OriginalStatusCode") if name not in body]
    if missing:
        return departs(
            "O7", f"{refusal} without {' and '.join(missing)}", expected="both in its JSON"
        )
    wanted = (424, "INTERNAL_FAILURE_FROM_MODEL", "Failed to establish WebSocket connection")
    found = (body["OriginalStatusCode"], body["ErrorCode"], refusal.message)
    if found[:2] != wanted[:2] or wanted[2] not in refusal.message:
        return departs("O4", f"its body says {found}", expected=f"{wanted}")
    if refusal.seconds > _LATEST:
        took = milliseconds(refusal.seconds)
        return departs("O4", f"{refusal} after {took}", expected="an answer in 0.25 to 0.4 s")
    return ok(f"{refusal} after {milliseconds(refusal.seconds)}: {refusal.message}")


@ENDPOINT.check(
    "endpoint.throttling",
    f"What becomes of {_FLOOD} streams at once",
    clauses=("O5", "O4", "K5"),
    requires=("stream", "allow-cost"),
    seconds=120,
)
async def throttling(stage: EndpointStage) -> Outcome:
    on = await stage.connect()
    limit = min(_FLOOD, on.h2.remote_settings.max_concurrent_streams)
    opened = [await stage.invoke(on) for _ in range(limit)]
    answers = await asyncio.gather(*(_answer(duplex) for duplex in opened))
    for duplex in opened:
        duplex.stream.cancel(ErrorCodes.CANCEL)
    counted = Counter(answers)
    said = ", ".join(f"{count} x {answer}" for answer, count in counted.most_common())
    if any(answer.startswith("no answer") for answer in counted):
        return failed(said, expected="an answer to each of them")
    if any(answer.startswith("HTTP 429") for answer in counted):
        return departs("O5", said, expected="HTTP 400 ThrottlingException, not 429")
    return informational(f"{limit} streams at once: {said}")


async def _answer(duplex: Duplex) -> str:
    try:
        refusal = await duplex.refusal(60.0)
    except Unmet as wrong:
        return f"no answer ({wrong.summary})"
    return "HTTP 200" if refusal is None else str(refusal)
