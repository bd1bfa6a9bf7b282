"""What a check of an image works with: its configuration, and a container of it."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

from sagemaker_bidi.containers.docker import DockerError
from sagemaker_bidi.containers.hosted import ContainerFailed, HostedContainer, ImageRun
from sagemaker_bidi.containers.image import ImageFacts, UnfitImage, inspect_image
from sagemaker_bidi_contract.exchange import ExchangeLog
from sagemaker_bidi_contract.options import TargetError

_LOG_LINES = 1_000


class ImageStage:
    """An image under test.

    Args:
        run: the image, and how it is run.
        startup: seconds that its container has to get healthy (K4).
    """

    def __init__(self, run: ImageRun, startup: float = 480.0) -> None:
        self.run = run
        self.startup = startup
        self.awaited = ""
        self.log = ExchangeLog()
        self.lines: deque[str] = deque(maxlen=_LOG_LINES)
        self.facts: ImageFacts | None = None
        self.container: HostedContainer | None = None
        self.healthy_after: float | None = None
        self._trouble: str | None = None

    async def __aenter__(self) -> Self:
        try:
            self.facts = await inspect_image(self.run.image)
        except DockerError as error:
            host, _, port = self.run.image.rpartition(":")
            hint = f"; did you mean ws://{self.run.image}?" if host and port.isdigit() else ""
            raise TargetError(f"{self.run.image}: {error}{hint}") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.container is not None:
            await self.container.__aexit__(kind, error, trace)

    @property
    def image(self) -> ImageFacts:
        """The image's configuration."""
        assert self.facts is not None, "use it as `async with ImageStage(…)`"
        return self.facts

    async def start(self) -> float:
        """Start a container of it; gives the seconds until it was healthy.

        Raises:
            UnfitImage: no label (O1).
            DockerError: Docker cannot run it.
            ContainerFailed: it did not get healthy in time.
        """
        if self.healthy_after is None:
            self.awaited = "GET /ping to answer 200"
            if self.container is None:
                # One that ends before it is healthy has shown what it does.
                container = HostedContainer(
                    self.run, startup=self.startup, restarts=False, on_line=self.lines.append
                )
                await container.__aenter__()
                self.container = container
            self.healthy_after = await self.container.healthy()
        return self.healthy_after

    async def missing(self, capability: str) -> str | None:
        """Why a check that needs a `running` container cannot be made."""
        if capability == "running" and self.healthy_after is None:
            if self._trouble is None:
                try:
                    await self.start()
                except (UnfitImage, DockerError, ContainerFailed) as error:
                    self._trouble = str(error).splitlines()[0]
                else:
                    return None
            return f"no container of it runs: {self._trouble}"
        return None

    async def unreachable(self) -> str | None:
        """Nothing: what Docker says was asked on entry."""
        return None

    async def clear(self) -> None:
        """Nothing is left open between checks."""
