"""Opens a container for an invocation: its WebSocket, and its metadata stream (O2-O4, M1)."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.errors import Refused, model_error
from sagemaker_bidi.contract.metadata import MetadataOffer, read_offer
from sagemaker_bidi.contract.opening import REQUEST_ID, Invocation
from sagemaker_bidi.contract.settings import ContractSettings
from sagemaker_bidi.endpoints.endpoints import Endpoint, Variant
from sagemaker_bidi.extras import needs
from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.transport.container import ContainerRefused, ContainerSocket, open_container
from sagemaker_bidi.transport.link import Link
from sagemaker_bidi.transport.metadata import MetadataStream

logger = logger_named("bidi.session")

# What it needs of the AWS SDK takes a second to import: only where it is used.
_UPSTREAM = "sagemaker_bidi.transport.upstream"


@dataclass(frozen=True, slots=True)
class Opened:
    """A container that took the invocation: its WebSocket, and its metadata stream's if any."""

    data: Link
    metadata: MetadataStream | None

    def abort(self) -> None:
        """Drop the connections."""
        self.data.abort()
        if self.metadata is not None:
            self.metadata.abort()


def prepare(endpoints: Iterable[Endpoint]) -> None:
    """Import what endpoints need that have one of SageMaker's in the place of a container.

    Raises:
        ExtraMissing: there is no AWS SDK.
    """
    for endpoint in endpoints:
        if upstream := next((each for each in endpoint.variants if each.upstream), None):
            with needs("client", f"the endpoint {endpoint.name} at {upstream.url}"):
                importlib.import_module(_UPSTREAM)


class Containers:
    """Opens containers.

    Args:
        settings: times and sizes.
        clock: what all waiting asks.
    """

    def __init__(self, settings: ContractSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    async def open(self, invocation: Invocation, variant: Variant, request_id: str) -> Opened:
        """Open the container of a variant.

        Raises:
            Refused: it did not take the WebSocket, or not its metadata stream's where it requires
                one.
        """
        if variant.upstream:
            from sagemaker_bidi.transport.upstream import open_upstream

            return Opened(
                await open_upstream(variant.url, invocation.container_path, self._clock.unscaled),
                None,
            )
        headers = [(REQUEST_ID, request_id), *invocation.forwarded]
        data = await self._connect(variant, invocation.container_path, headers)
        try:
            offer = read_offer(data.response_headers)
            if offer is None:
                return Opened(data, None)
            return Opened(data, await self._open_metadata(offer, variant, headers, request_id))
        except BaseException:
            data.abort()
            raise

    async def _open_metadata(
        self,
        offer: MetadataOffer,
        variant: Variant,
        headers: list[tuple[str, str]],
        request_id: str,
    ) -> MetadataStream | None:
        try:
            socket = await self._connect(variant, offer.path, headers)
        except Refused as refused:
            if offer.required:
                reason = f"the metadata stream that it requires: {refused.refusal.reason} (M3)"
                raise Refused(replace(refused.refusal, reason=reason)) from refused
            logger.warning(
                "%s: no metadata stream, and the container does not require it (M1): %s",
                request_id,
                refused.refusal.reason,
            )
            return None
        return MetadataStream(request_id, offer, socket, self._clock, self._settings.metering_slack)

    async def _connect(
        self, variant: Variant, path: str, headers: list[tuple[str, str]]
    ) -> ContainerSocket:
        try:
            return await open_container(
                variant.url,
                path,
                headers,
                clock=self._clock.unscaled,
                seconds=self._settings.accept_seconds,
                frame_bytes=self._settings.frame_bytes,
            )
        except ContainerRefused as error:
            raise Refused(model_error(variant.container, str(error))) from error
