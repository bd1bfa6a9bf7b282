"""Opens and reads a container's metadata stream beside its data stream (M1-M3)."""

from __future__ import annotations

import contextlib

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.frames import Frame
from sagemaker_bidi.contract.metadata import Dropped, MetadataOffer, Metering
from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.transport.container import CLOSE_SECONDS, DATA, Closed, ContainerSocket

logger = logger_named("bidi.session")

LOGGED_DROPS = 10


class Usage:
    """What a session's container reports, counted and, where it does not count, logged (M2).

    Args:
        session_id: the request id.
        slack: how early a message may come, in seconds.
    """

    def __init__(self, session_id: str, slack: float = 0.5) -> None:
        self.metering = Metering(slack)
        self._session_id = session_id

    def take(self, frame: Frame, now: float) -> None:
        """Take a frame into account.

        Args:
            now: seconds of a clock that is never scaled.
        """
        counted = self.metering.receive_frame(frame, now)
        if not isinstance(counted, Dropped) or self.metering.dropped > LOGGED_DROPS:
            return
        # The frame itself stays out of the log: it may hold a customer's token.
        logger.warning(
            "%s: metering frame dropped: %s (M2)%s",
            self._session_id,
            counted.why,
            "; further ones are only counted" if self.metering.dropped == LOGGED_DROPS else "",
        )


class MetadataStream:
    """The second WebSocket of a session.

    Args:
        session_id: the request id that both WebSockets carry.
        offer: what the container announced.
        socket: the open WebSocket.
        clock: measures the container, so it is never scaled.
        slack: how early a message may come, in seconds.
    """

    def __init__(
        self,
        session_id: str,
        offer: MetadataOffer,
        socket: ContainerSocket,
        clock: Clock,
        slack: float,
    ) -> None:
        self.usage = Usage(session_id, slack)
        self.required = offer.required
        self._session_id = session_id
        self._socket = socket
        self._clock = clock.unscaled
        self._ended = False

    @property
    def metering(self) -> Metering:
        """What was counted so far."""
        return self.usage.metering

    async def read(self) -> Closed:
        """Count usage until the container closes the stream; returns how it did."""
        while True:
            received = await self._socket.receive()
            if isinstance(received, Closed):
                self._log_end(received)
                return received
            for frame in received:
                if frame.opcode not in DATA:
                    continue
                self.usage.take(frame, self._clock.now())

    def _log_end(self, closed: Closed) -> None:
        if self._ended:
            return
        self._ended = True
        logger.info(
            "%s: metadata stream ended with %d: %d frames counted, %d dropped (M3)",
            self._session_id,
            closed.code,
            self.metering.counted,
            self.metering.dropped,
        )

    async def close(self) -> None:
        """Close it with the data stream (M3); what was on its way by then still counts."""
        self._socket.close(1000, "data stream ended", discard=True)
        with contextlib.suppress(TimeoutError):
            async with self._clock.within(CLOSE_SECONDS):
                await self.read()
            await self._socket.wait_closed(self._clock)

    def abort(self) -> None:
        """Drop the connection."""
        self._socket.abort()
