"""Idle streams, containers that answer no pings, and thirty minutes (K1-K3)."""

from __future__ import annotations

import time

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.echoing import compared, echoed
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.stage import EndpointStage
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, failed, ok
from sagemaker_bidi_contract.wire.duplex import Duplex
from sagemaker_bidi_contract.wire.events import Event, WirePart
from sagemaker_bidi_contract.wire.http2_stream import StreamEnd

_PING_SECONDS = 60.0
_MISSED = 5
_LIFETIME = 1_800.0
# Of the endpoint's clock; an end takes some time of ours on top.
_SLACK = 65.0
_OUR_SLACK = 2.0
_LONGEST = 2_100


@ENDPOINT.check(
    "endpoint.idle",
    "A stream on which nothing is said stays open",
    clauses=("K1",),
    requires=("stream", "echo", "slow"),
    seconds=_LONGEST,
)
async def idle(stage: EndpointStage) -> Outcome:
    silence = (_MISSED + 1.5) * _PING_SECONDS
    duplex = await stage.open()
    ended = await _ended(duplex, silence / stage.scale)
    if ended is not None:
        said, after = ended
        return failed(
            f"{said} after {after * stage.scale:.0f} s of silence",
            expected="a container that answers its pings is kept",
        )
    part = [WirePart(b"still here", "UTF8", "COMPLETE")]
    got = await echoed(duplex, part)
    return compared(part, got, f"open after {silence:g} s of silence, and a part came back")


@ENDPOINT.check(
    "endpoint.missed-pongs",
    f"A container that answers no pings is given up after {_MISSED} of them",
    clauses=("K1", "K3", "E7"),
    requires=("never-pong", "slow"),
    seconds=_LONGEST,
)
async def missed_pongs(stage: EndpointStage) -> Outcome:
    wanted = _MISSED * _PING_SECONDS
    return await _ends_at(stage, await stage.open(), wanted, "K1")


@ENDPOINT.check(
    "endpoint.lifetime",
    "A stream ends after 30 minutes",
    clauses=("K2", "K3", "E7"),
    requires=("stream", "echo", "slow", "time"),
    seconds=_LONGEST,
)
async def lifetime(stage: EndpointStage) -> Outcome:
    return await _ends_at(stage, await stage.open(), _LIFETIME, "K2")


async def _ends_at(stage: EndpointStage, duplex: Duplex, wanted: float, clause: str) -> Outcome:
    """Wait for the end, which should come so many seconds of the endpoint's clock after now."""
    slack = _SLACK + _OUR_SLACK * stage.scale
    expected = f"the end after {wanted:g} s"
    ended = await _ended(duplex, (wanted + slack) / stage.scale)
    if ended is None:
        return departs(clause, f"still open after {wanted + slack:.0f} s", expected=expected)
    said, after = ended[0], ended[1] * stage.scale
    if abs(after - wanted) > slack:
        return departs(clause, f"{said} after {after:.0f} s", expected=expected)
    if not said.startswith("exception") and not said.startswith("error"):
        return departs("K3", f"{said} after {after:.0f} s", expected="an error before the end")
    return ok(f"{said}, after {after:.0f} s")


async def _ended(duplex: Duplex, within: float) -> tuple[str, float] | None:
    """How the response ended and after how many of our seconds; None where it did not."""
    started = time.perf_counter()
    error = ""
    try:
        while True:
            left = max(started + within - time.perf_counter(), 0.0)
            got = await duplex.receive(left, "the end of the response")
            if isinstance(got, StreamEnd):
                said = f"{error}, then {got.how}" if error else got.how
                return said, time.perf_counter() - started
            if isinstance(got, Event) and got.is_error:
                error = str(got)
    except Unmet:
        return None
