"""The metadata stream that a container of the Marketplace may offer (M1, M2)."""

from __future__ import annotations

import json
import time
import uuid

from sagemaker_bidi_contract.checks import CONTAINER
from sagemaker_bidi_contract.container.stage import REQUEST_ID, ContainerStage
from sagemaker_bidi_contract.verdicts import (
    Outcome,
    Unmet,
    failed,
    informational,
    non_strict,
    ok,
)
from sagemaker_bidi_contract.wire.received import End, Message
from sagemaker_bidi_contract.wire.stream import FrameStream

_PREFIX = "x-amzn-sagemaker-metadata-"
_PATH = "/invocations-bidirectional-stream-metadata"
_NOT_OFFERED = "the container announces no metadata stream"
_WATCH_SECONDS = 2.0
_SLOW_WATCH_SECONDS = 45.0
_FRAME_BYTES = 512
_DIMENSION, _TOKEN = 128, 64
# A message a second; what comes half a second early may have waited in the network.
_APART = 0.5


async def _both(stage: ContainerStage) -> tuple[FrameStream, FrameStream, str] | None:
    """The data stream, the metadata stream and its path; None where none is offered.

    Raises:
        Unmet: one of them was refused.
    """
    request_id = ((REQUEST_ID, str(uuid.uuid4())),)
    answer = await stage.upgrade(headers=request_id)
    if answer.stream is None:
        raise Unmet(f"the upgrade was answered with {answer.words}", "HTTP 101")
    if answer.headers.get(f"{_PREFIX}stream-supported", "").lower() != "true":
        return None
    path = answer.headers.get(f"{_PREFIX}invocation-path", _PATH)
    second = await stage.upgrade("/" + path.lstrip("/"), request_id)
    if second.stream is None:
        raise Unmet(
            f"the announced metadata stream on {path} was answered with {second.words}",
            "HTTP 101 with the request id of the data stream",
        )
    return answer.stream, second.stream, path


@CONTAINER.check(
    "container.metadata-stream", "A metadata stream that is announced is there", clauses=("M1",)
)
async def metadata_stream(stage: ContainerStage) -> Outcome:
    opened = await _both(stage)
    if opened is None:
        return informational(_NOT_OFFERED)
    return ok(f"announced, and accepted on {opened[2]}")


@CONTAINER.check(
    "container.metering",
    "What comes on the metadata stream is metering that counts",
    clauses=("M2",),
    seconds=_SLOW_WATCH_SECONDS + 20,
)
async def metering(stage: ContainerStage) -> Outcome:
    opened = await _both(stage)
    if opened is None:
        return informational(_NOT_OFFERED)
    data, metadata, _ = opened
    await data.text(stage.options.message)
    watch = _SLOW_WATCH_SECONDS if stage.options.slow else _WATCH_SECONDS
    seen, last, early = 0, -_APART, 0
    started = time.perf_counter()
    while (left := started + watch - time.perf_counter()) > 0:
        try:
            got = await metadata.message(left, "metering")
        except Unmet:
            break
        if isinstance(got, End):
            return failed(f"the metadata stream ended: {got.how}", expected="it stays open (M3)")
        if wrong := malformed(got):
            return failed(
                f"a metering frame {wrong}",
                expected='{"Metering": {"Dimension": …, "ConsumedUnits": …, "ClientToken": …}}',
                advice="SageMaker drops such a frame, and nobody pays for what it says",
            )
        at = time.perf_counter() - started
        early += seen > 0 and at - last < _APART
        seen, last = seen + 1, at
    if early:
        return non_strict(
            f"{early} of {seen} metering frames came within {_APART:g} s of the one before",
            expected="one message a second; what comes faster is not counted",
        )
    if not seen:
        longer = "" if stage.options.slow else "; --slow watches for longer"
        return informational(f"no metering within {watch:g} s{longer}")
    return ok(f"{seen} metering frames within {watch:g} s, each with all that it needs")


def malformed(message: Message) -> str:
    """What keeps a message from being counted (M2); empty where nothing does."""
    if message.kind != "text" or message.frames > 1:
        return "is no whole text frame"
    if len(message.data) > _FRAME_BYTES:
        return f"has {len(message.data)} bytes, more than {_FRAME_BYTES}"
    try:
        document = json.loads(message.data)
    except ValueError:
        return "is no JSON"
    match document:
        case {"Metering": {"Dimension": str(dimension), "ConsumedUnits": units, **rest}}:
            pass
        case _:
            return "has no Metering with a Dimension and ConsumedUnits"
    if not 0 < len(dimension) <= _DIMENSION:
        return f"has a Dimension of {len(dimension)} characters, at most {_DIMENSION} are allowed"
    if isinstance(units, bool) or not isinstance(units, int | float) or not units > 0:
        return "has ConsumedUnits that are not over 0"
    match rest.get("ClientToken"):
        case str(token) if 0 < len(token) <= _TOKEN:
            return ""
        case _:
            return f"has no ClientToken of 1 to {_TOKEN} characters"
