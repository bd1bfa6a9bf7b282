"""Several variants: traffic by weight, and each by its name (O8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import comb

from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.provenance import departs
from sagemaker_bidi_contract.endpoint.stage import EndpointStage
from sagemaker_bidi_contract.verdicts import Outcome, ok
from sagemaker_bidi_contract.wire.duplex import TARGET_VARIANT
from sagemaker_bidi_contract.wire.http2 import Http2Connection

_HEADER = "x-amzn-invoked-production-variant"
_NEEDS = ("stream", "variants")
_STREAMS = 40
# One run in a million would call an endpoint wrong that draws lots.
_UNLIKELY = 1e-6


async def _invoked(stage: EndpointStage, on: Http2Connection, target: str = "") -> str:
    """Open a stream, leave it, and give the variant that it had."""
    duplex = await stage.open(on, headers={TARGET_VARIANT: target} if target else {})
    await duplex.leave()
    return duplex.stream.headers.get(_HEADER, "")


@ENDPOINT.check(
    "endpoint.variants-by-weight",
    "Streams are shared among the variants by their weights",
    clauses=("O8",),
    requires=_NEEDS,
    seconds=120,
)
async def variants_by_weight(stage: EndpointStage) -> Outcome:
    weights = stage.options.variants
    on = await stage.connect()
    counted = Counter([await _invoked(stage, on) for _ in range(_STREAMS)])
    said = f"of {_STREAMS} streams " + ", ".join(f"{n} on {name}" for name, n in counted.items())
    if strangers := sorted(set(counted) - set(weights)):
        named = ", ".join(name or "none" for name in strangers)
        return departs("O8", f"{said}: {named} is not configured", expected=_wanted(weights))
    total = sum(weights.values())
    for name, weight in weights.items():
        if chance(counted[name], _STREAMS, weight / total) < _UNLIKELY:
            return departs(
                "O8", f"{said}: {counted[name]} is no share for {name}", expected=_wanted(weights)
            )
    return ok(said)


@ENDPOINT.check(
    "endpoint.variants-by-name",
    "TargetVariant overrides the weights, for each variant",
    clauses=("O8", "W2"),
    requires=_NEEDS,
    seconds=60,
)
async def variants_by_name(stage: EndpointStage) -> Outcome:
    on = await stage.connect()
    for name in stage.options.variants:
        if (found := await _invoked(stage, on, name)) != name:
            return departs("O8", f"asked for {name}, got {found or 'none'}", expected=name)
    return ok(f"asked for each of {len(stage.options.variants)} by name, and got it")


def chance(seen: int, of: int, share: float) -> float:
    """How likely a count is that is at least as far from its share: a binomial's smaller tail.

    Args:
        seen: streams on the variant.
        of: streams in all.
        share: of the traffic, 0 to 1.
    """
    each = [comb(of, n) * share**n * (1 - share) ** (of - n) for n in range(of + 1)]
    return min(sum(each[: seen + 1]), sum(each[seen:]))


def _wanted(weights: Mapping[str, float]) -> str:
    total = sum(weights.values())
    shares = ", ".join(f"{name} {weight / total:.0%}" for name, weight in weights.items())
    return f"the variants and shares that are configured: {shares}"
