"""Who may call: signatures, clocks, keys and scopes (W4, O6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.stage import ANSWER_SECONDS, EndpointStage
from sagemaker_bidi_contract.verdicts import Outcome, failed, non_strict, ok
from sagemaker_bidi_contract.wire.duplex import Invocation, ReceivedRefusal, invoke

_SKEW = 600.0
_INVALID = "InvalidSignatureException"
_UNRECOGNISED = "UnrecognizedClientException"
_KEY_HINT = (
    "an emulator verifies only keys that it knows: its test pair, or those of [[credentials]]; "
    'unknown_keys = "refuse" refuses the others'
)


@ENDPOINT.check("endpoint.not-signed", "A request without a signature", clauses=("O6", "W4"))
async def not_signed(stage: EndpointStage) -> Outcome:
    refusal = await stage.ask(signed=False)
    if refusal is None:
        return failed(
            "the stream opened", expected="HTTP 403 MissingAuthenticationTokenException (W4)"
        )
    return _forbidden(refusal, "MissingAuthenticationTokenException")


@ENDPOINT.check("endpoint.bad-signature", "A signature that is wrong", clauses=("O6", "W4"))
async def bad_signature(stage: EndpointStage) -> Outcome:
    return await _refused(stage, _INVALID, _KEY_HINT, spoilt=True)


@ENDPOINT.check("endpoint.slow-clock", "A clock that is 10 minutes slow", clauses=("O6",))
async def slow_clock(stage: EndpointStage) -> Outcome:
    return await _refused(stage, _INVALID, "contract.max_skew of an emulator", clock_off=-_SKEW)


@ENDPOINT.check("endpoint.fast-clock", "A clock that is 10 minutes fast", clauses=("O6",))
async def fast_clock(stage: EndpointStage) -> Outcome:
    return await _refused(stage, _INVALID, "contract.max_skew of an emulator", clock_off=_SKEW)


@ENDPOINT.check("endpoint.other-region", "A signature for another region", clauses=("O6", "W4"))
async def other_region(stage: EndpointStage) -> Outcome:
    other = "ap-south-1" if stage.identity.region != "ap-south-1" else "eu-west-1"
    hint = "an emulator takes any region unless it is given one: region, or --region"
    return await _refused(stage, _INVALID, hint, region=other)


@ENDPOINT.check("endpoint.other-service", "A signature for another service", clauses=("O6", "W4"))
async def other_service(stage: EndpointStage) -> Outcome:
    return await _refused(stage, _INVALID, "", service="execute-api")


@ENDPOINT.check("endpoint.unknown-key", "An access key that nobody knows", clauses=("O6",))
async def unknown_key(stage: EndpointStage) -> Outcome:
    identity = replace(
        stage.identity,
        access_key_id="AKIACONTRACTCHECK000",
        secret_access_key="contract-check",
        session_token=None,
    )
    duplex = await invoke(
        await stage.connect(), Invocation(stage.endpoint), identity, "an unknown key"
    )
    refusal = await duplex.refusal(ANSWER_SECONDS)
    if refusal is None:
        await duplex.leave()
        return non_strict(
            "the stream opened",
            expected=f"HTTP 403 {_UNRECOGNISED} (reported, not documented)",
            advice='an emulator takes unknown keys unless unknown_keys = "refuse"',
        )
    return _forbidden(refusal, _UNRECOGNISED)


@ENDPOINT.check("endpoint.unknown-token", "A session token that is no one's", clauses=("O6",))
async def unknown_token(stage: EndpointStage) -> Outcome:
    identity = replace(stage.identity, session_token="contract-check-no-token")
    duplex = await invoke(
        await stage.connect(), Invocation(stage.endpoint), identity, "an unknown token"
    )
    refusal = await duplex.refusal(ANSWER_SECONDS)
    if refusal is None:
        await duplex.leave()
        return departs(
            "O6", "the stream opened", expected=f"HTTP 403 {_UNRECOGNISED}", advice=_KEY_HINT
        )
    return _forbidden(refusal, _UNRECOGNISED)


async def _refused(stage: EndpointStage, type_: str, hint: str, **fields: Any) -> Outcome:
    refusal = await stage.ask(**fields)
    if refusal is None:
        return departs("O6", "the stream opened", expected=f"HTTP 403 {type_}", advice=hint)
    return _forbidden(refusal, type_)


def _forbidden(refusal: ReceivedRefusal, type_: str) -> Outcome:
    said = f"{refusal}: {refusal.message}"
    if (refusal.status, refusal.type) != (403, type_):
        return departs("O6", said, expected=f"HTTP 403 {type_}")
    return ok(said)
