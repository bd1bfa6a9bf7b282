"""The container's metadata stream, as the container tells of it through the client (M1-M3)."""

from __future__ import annotations

import json

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.obeying import OBEYING, ask, error_and_end, tell
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.refusals import model_error
from sagemaker_bidi_contract.endpoint.stage import EndpointStage
from sagemaker_bidi_contract.obeying import METADATA_PATH, OTHER_METADATA_PATH, QUERY
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, informational, ok
from sagemaker_bidi_contract.wire.duplex import QUERY_STRING, Duplex

_ONLY_THE_BILL = "what was counted only the bill shows"


async def _open(stage: EndpointStage, offer: str) -> Duplex:
    return await stage.open(headers={QUERY_STRING: f"{QUERY}={offer}"})


@ENDPOINT.check(
    "endpoint.metadata-stream",
    "A metadata stream that the container offers is opened, with the same request id",
    clauses=("M1",),
    requires=OBEYING,
)
async def metadata_stream(stage: EndpointStage) -> Outcome:
    for offer, path in (("metadata", METADATA_PATH), ("metadata-path", OTHER_METADATA_PATH)):
        got = await ask(await _open(stage, offer), "metadata")
        expected = f"a second WebSocket on {path} with the data stream's request id"
        if not got.get("opened"):
            return departs("M1", "none was opened with that request id", expected=expected)
        if got.get("path") != path:
            return departs("M1", f"it was opened on {got.get('path')}", expected=expected)
    return ok(f"opened on {METADATA_PATH}, and on a path that the container names")


@ENDPOINT.check(
    "endpoint.no-metadata-stream",
    "Without an offer no metadata stream is opened",
    clauses=("M1",),
    requires=OBEYING,
)
async def no_metadata_stream(stage: EndpointStage) -> Outcome:
    got = await ask(await stage.open(), "metadata")
    if got.get("opened"):
        return departs("M1", f"one was opened on {got.get('path')}", expected="none")
    return ok("none was opened")


@ENDPOINT.check(
    "endpoint.metering",
    "Metering frames stay away from the client, and malformed ones end nothing",
    clauses=("M2",),
    requires=OBEYING,
)
async def metering(stage: EndpointStage) -> Outcome:
    used = {"Dimension": "contract-check", "ConsumedUnits": 1, "ClientToken": "contract-check"}
    good = json.dumps({"Metering": used})
    bad = ["no JSON", "{}", json.dumps({"Metering": {**used, "ConsumedUnits": 0}}), good.ljust(600)]
    duplex = await _open(stage, "metadata-required")
    await ask(duplex, "metadata")
    got = await ask(duplex, "meter", frames=[good, good, *bad])
    if "open" not in got:
        return departs("M2", f"the client got {got}", expected="no metering frame")
    if not got["open"]:
        said = f"after {len(bad)} malformed frames the metadata stream was over"
        return departs("M2", said, expected="they are dropped, and the connection stays")
    return ok(f"{len(bad)} malformed frames ended nothing, none came here; {_ONLY_THE_BILL}")


@ENDPOINT.check(
    "endpoint.metadata-refused",
    "A required metadata stream that is refused is a 424 ModelError",
    clauses=("M3", "O4"),
    requires=OBEYING,
)
async def metadata_refused(stage: EndpointStage) -> Outcome:
    refusal = await stage.ask(headers={QUERY_STRING: f"{QUERY}=metadata-refused"})
    if refusal is None:
        return departs("M3", "the stream opened", expected="HTTP 424 ModelError")
    if refusal.status != 424:
        return departs("M3", f"{refusal}", expected="HTTP 424 ModelError")
    return model_error(refusal)


@ENDPOINT.check(
    "endpoint.metadata-lost",
    "A required metadata stream that drops ends the data stream with an error",
    clauses=("M3", "E7"),
    requires=OBEYING,
    seconds=30,
)
async def metadata_lost(stage: EndpointStage) -> Outcome:
    duplex = await _open(stage, "metadata-required")
    await ask(duplex, "metadata")
    await tell(duplex, "lose-metadata")
    try:
        error, end = await error_and_end(duplex)
    except Unmet:
        return departs("M3", "the data stream went on", expected="it ends with 424")
    said = f"{error or 'no error'}, then {end.how}"
    if error is None or b"424" not in error.payload:
        return departs("M3", said, expected="an error that tells of 424")
    return ok(said) if end.clean else departs("E7", said, expected="END_STREAM after the error")


@ENDPOINT.check(
    "endpoint.metadata-closes",
    "The metadata stream closes with the data stream",
    clauses=("M3",),
    requires=OBEYING,
    seconds=30,
)
async def metadata_closes(stage: EndpointStage) -> Outcome:
    first = await _open(stage, "metadata")
    await ask(first, "metadata")
    request_id = (await ask(first, "request")).get("Request-Id")
    first.stream.cancel()
    got = await ask(await stage.open(), "metadata-of", id=request_id)
    if not got.get("known"):
        return informational("the next stream reached another container, which cannot tell")
    if not got.get("closed"):
        return departs("M3", "it stayed open", expected="it closes with the data stream")
    return ok("after the client's RST_STREAM it was closed")
