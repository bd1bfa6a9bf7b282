"""An invocation as taps see it and command it, before its stream is open and after."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from h2.errors import ErrorCodes

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.opening import CONTAINER_PATH
from sagemaker_bidi.transport.http2.stream import Stream


@dataclass(eq=False)
class Invoked:
    """See `sagemaker_bidi.tap.Attempt`.

    Args:
        id: the request id, which client, container and logs share (O7, O9).
        endpoint, variant: who is invoked.
        clock: what all waiting asks.
        stream: the client.
        container_path: path and query of the container's WebSocket (O2).
        target: address of the container.
    """

    id: str
    endpoint: str
    variant: str
    clock: Clock
    stream: Stream
    container_path: str = CONTAINER_PATH
    target: str = ""

    @property
    def user_agent(self) -> str:
        """What the client says it is; empty where it says nothing."""
        return next((value for name, value in self.stream.headers if name == "user-agent"), "")

    def reset_stream(self, code: ErrorCodes) -> None:
        """Send RST_STREAM (RFC 9113 6.4)."""
        self.stream.reset(code)

    def goaway(self, code: ErrorCodes) -> None:
        """Send GOAWAY on the connection (RFC 9113 6.8)."""
        self.stream.goaway(code)

    def abort_client(self) -> None:
        """Reset the client's TCP connection."""
        self.stream.abort_connection()

    def silence_client(self, until: asyncio.Event) -> None:
        """Neither read nor write the client's connection `until` then."""
        self.stream.go_silent(until)

    def withhold_window(self, withheld: bool) -> None:
        """Stop, or go on, crediting the client's window (RFC 9113 5.2)."""
        self.stream.withhold(withheld)
