"""Clauses that no client can see an endpoint keep: the report says so, and where they are held."""

from __future__ import annotations

from collections.abc import Mapping

from sagemaker_bidi.contract.ledger import ledger
from sagemaker_bidi_contract.checks import ENDPOINT
from sagemaker_bidi_contract.endpoint.stage import EndpointStage
from sagemaker_bidi_contract.verdicts import Outcome, skipped

_WHY: Mapping[str, str] = {
    "O1": "no client sees an image's label; hold the image to it: bidi check IMAGE",
    "O3": "no client sees how long a container took to accept; hold the container to it: "
    "bidi check ws://HOST:8080",
    "K4": "no client sees health checks, signals and starts; hold the container and its image to "
    "them: bidi check ws://HOST:8080, bidi check IMAGE",
    "O10": "no client sees the endpoint's InferenceAmiVersion; without a sidecar every call hangs: "
    "bidi scenario sidecar-missing",
    "P1": "metrics are in CloudWatch, not in the stream",
}


def _register(clause_id: str, why: str) -> None:
    @ENDPOINT.check(
        f"endpoint.unseen-{clause_id.lower()}",
        f"{ledger().clause(clause_id).title}: not to be seen by a client",
        clauses=(clause_id,),
    )
    async def check(stage: EndpointStage) -> Outcome:
        return skipped(why)


for _id, _why in _WHY.items():
    _register(_id, _why)
