"""What a recording is played to: a container, or an endpoint."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.errors import Refusal, Refused
from sagemaker_bidi.contract.opening import CONTAINER_PATH, REQUEST_ID
from sagemaker_bidi.endpoints.addresses import container_url
from sagemaker_bidi.extras import needs
from sagemaker_bidi.transport.container import ContainerRefused, open_container
from sagemaker_bidi.transport.link import Link

OPEN_SECONDS = 10.0
FRAME_BYTES = 128 * 1024 * 1024


class TargetRefused(Exception):
    """The target did not open a stream.

    Args:
        refusal: what an endpoint answered; None for a container, whose answers are lost (O4).
    """

    def __init__(self, what: str, refusal: Refusal | None = None) -> None:
        super().__init__(what)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Target:
    """Where to play a recording.

    Args:
        url: `ws://HOST:PORT` of a container, or `https://HOST:PORT/NAME` of an endpoint.
        path: of the container's WebSocket; the recording's own where it is empty.
        region, ca: of an endpoint; see `open_upstream`.
    """

    url: str
    path: str = ""
    region: str | None = None
    ca: Path | None = None

    @property
    def endpoint(self) -> bool:
        """Whether it is an endpoint."""
        return self.url.startswith("https:")

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read what a user gave; unlike an endpoint's container, a target may have a path.

        Raises:
            ValueError: says what is wrong with it.
        """
        parts = urlsplit(text)
        if parts.scheme in ("ws", "http") and (parts.path.strip("/") or parts.query):
            bare = container_url(f"{parts.scheme}://{parts.netloc}")
            return cls(bare, text.partition(parts.netloc)[2])
        return cls(container_url(text))

    async def open(self, path: str, clock: Clock) -> Link:
        """Open a stream.

        Args:
            path: the recording's.
            clock: measures the target.

        Raises:
            TargetRefused: it did not open one.
        """
        path = self.path or path or CONTAINER_PATH
        try:
            if self.endpoint:
                # The SDK takes a second to import: only where it is used.
                with needs("client", f"the target {self.url}"):
                    from sagemaker_bidi.transport.upstream import open_upstream

                return await open_upstream(self.url, path, clock, region=self.region, ca=self.ca)
            return await open_container(
                self.url,
                path,
                [(REQUEST_ID, str(uuid.uuid4()))],
                clock=clock,
                seconds=OPEN_SECONDS,
                frame_bytes=FRAME_BYTES,
            )
        except ContainerRefused as refused:
            raise TargetRefused(str(refused)) from refused
        except Refused as refused:
            refusal = refused.refusal
            raise TargetRefused(refusal.reason or refusal.message, refusal) from refused
