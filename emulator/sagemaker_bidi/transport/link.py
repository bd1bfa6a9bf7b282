"""What a session needs of what stands behind it: a container's WebSocket, or an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.frames import Frame
from sagemaker_bidi.transport.container import Closed
from sagemaker_bidi.transport.deliveries import Deliveries


class Link(Protocol):
    """An open connection that carries frames both ways; see `ContainerSocket`."""

    response_headers: Mapping[str, str]
    deliveries: Deliveries

    async def receive(self) -> list[Frame] | Closed:
        """The frames that have arrived, or how the connection ended."""

    def send(self, frame: Frame) -> None:
        """Queue a frame; `drain` waits until there is room for more."""

    @property
    def congested(self) -> bool:
        """Whether frames come faster than they are taken."""

    async def drain(self) -> None:
        """Wait while frames come faster than they are taken."""

    def stop_reading(self, stopped: bool) -> None:
        """Leave what has been sent where it is, or go on reading it."""

    def ignore_pings(self, ignored: bool) -> None:
        """Leave pings from behind unanswered, or answer them again (F5)."""

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """Begin to close; frames that still wait are dropped where `discard`, else go first."""

    async def wait_closed(self, clock: Clock, late: Callable[[int], None] = ...) -> None:
        """Finish closing, within reason; `late` is told the size of what still arrives."""

    def abort(self) -> None:
        """Drop the connection."""
