"""Voxtral without its model, as a container: the bridge before a stand-in for vLLM."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_bridge.settings import Settings
from sagemaker_bidi_fixtures.vllm.server import StandInVLLM


@dataclass(frozen=True, slots=True)
class StandIn:
    """Where it listens.

    Args:
        url: of the bridge, for an endpoint.
        vllm_url: of the stand-in for vLLM, for a bridge of one's own.
    """

    url: str
    vllm_url: str


@contextlib.asynccontextmanager
async def voxtral() -> AsyncIterator[StandIn]:
    """Serve it on free ports."""
    async with (
        StandInVLLM(port=0) as vllm,
        BridgeServer(
            Settings(backend_url=f"{vllm.url}/v1/realtime", host="127.0.0.1", port=0)
        ) as bridge,
    ):
        yield StandIn(bridge.url, vllm.url)
