"""One open session on its two sockets: the contract decides, this moves the bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from h2.errors import ErrorCodes

from sagemaker_bidi.clock import first_of
from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.frames import Frame, Part
from sagemaker_bidi.contract.outputs import CloseContainer, Output
from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.session.account import Account
from sagemaker_bidi.session.attempt import Invoked
from sagemaker_bidi.session.border import Border
from sagemaker_bidi.session.relay import Relay
from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.tap import Raw, Tap
from sagemaker_bidi.transport.container import CLOSE_SECONDS, DATA, Closed
from sagemaker_bidi.transport.http2.stream import StreamReset
from sagemaker_bidi.transport.link import Link
from sagemaker_bidi.transport.metadata import MetadataStream, Usage

logger = logger_named("bidi.session")

LINGER_SECONDS = 30.0
WRITE_SECONDS = 1.0


class LiveSession(Invoked):
    """Runs a `Session` between a client's stream and a container's WebSocket.

    It is what taps see of a session, and command it by (`TappedSession`).

    Args:
        invoked: what was known of it before the stream opened.
        session: the rules.
        container: the container.
        opened_at: seconds of the emulator's clock.
        taps: see all that passes.
        metadata: the container's metadata stream, where it offers one.
    """

    def __init__(
        self,
        invoked: Invoked,
        session: Session,
        container: Link,
        opened_at: float,
        taps: Sequence[Tap],
        metadata: MetadataStream | None,
    ) -> None:
        super().__init__(**vars(invoked))
        self.session = session
        self.opened_at = opened_at
        self.account = Account()
        self._container = container
        self._metadata = metadata
        self._usage = Usage(invoked.id) if metadata is None else metadata.usage
        self._border = Border(self, taps)
        self._relay = Relay(
            self.id, session, self.stream, container, self._border, self.account, self.clock
        )
        self._output_unread = False

    async def run(self) -> None:
        """Carry the stream until it has ended on both sides."""
        pumps = [
            asyncio.create_task(pump, name=f"session {self.id} {name}")
            for name, pump in (
                ("client", self._from_client()),
                ("container", self._from_container()),
                ("timer", self._keep_time()),
                ("metadata", self._from_metadata()),
                ("watch", self._watch_client()),
                ("end", self._relay.ended.wait()),
            )
        ]
        try:
            await self._until_ended(pumps)
            await self._stop(pumps)
            with contextlib.suppress(TimeoutError):
                async with self.clock.unscaled.within(CLOSE_SECONDS):
                    await self._relay.container_reached()
            await self._relay.close()
            # A container that a fault had left unread is read to its end.
            self._container.stop_reading(False)
            # Where nobody came to end it any more: a fault held what was before the end.
            self._relay.end_stream(reset=False)
            late = self.account.output.too_late
            closing = [self._flush(), self._container.wait_closed(self.clock.unscaled, late)]
            if self._metadata is not None:
                closing.append(self._metadata.close())
            await asyncio.gather(*closing)
        finally:
            await self._stop(pumps)
            await self._relay.close()
            self._container.abort()
            if self._metadata is not None:
                self._metadata.abort()

    async def _until_ended(self, pumps: Sequence[asyncio.Task[object]]) -> None:
        # A pump may return while another one still says the end, which a tap may hold.
        left: set[asyncio.Task[object]] = set(pumps)
        while not self._relay.ended.is_set():
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for pump in done:
                pump.result()
        if self._relay.failure is not None:
            raise self._relay.failure

    def shut_down(self) -> None:
        """End the session now; the client is told."""
        self._relay.perform_at_once(self.session.shut_down())

    # What a tap may command, beside what it may of any invocation.

    def send_to_client(self, item: Part | StreamError | Raw) -> None:
        """Add something for the client."""
        if isinstance(item, Part):
            self.account.output.added.count(len(item.payload))
        self._relay.write_to_client(item, counted=False)

    def send_to_container(self, frame: Frame) -> None:
        """Add a frame for the container."""
        if frame.opcode in DATA:
            self.account.input.added.count(len(frame.payload))
        self._relay.write_to_container(frame)

    def end(self, error: StreamError | None, why: str) -> None:
        """End the session, with an error for the client or without; the container gets 1001."""
        self._relay.perform_at_once(self.session.end(error, why))

    async def flushed(self) -> None:
        """Wait, a second at most, until what is queued for the client has been written."""
        with contextlib.suppress(TimeoutError):
            async with self.clock.unscaled.within(WRITE_SECONDS):
                await self.stream.written()

    def container_closed(self, code: int, reason: str) -> None:
        """Go on as if the container had closed with this code; its socket is closed."""
        outputs = self.session.receive_close(code, reason)
        self._container.close(1001, "closed by a fault", discard=True)
        self._relay.perform_at_once(outputs)

    def abort_container(self) -> None:
        """Drop the container's connection, as if it had died (E6)."""
        self._container.abort()

    def stop_reading_container(self, stopped: bool) -> None:
        """Leave what the container sends in its socket, or go on reading it."""
        self._container.stop_reading(stopped)

    def receive_pong(self, pong: Frame) -> None:
        """Take a pong as if the container had sent it now (K1)."""
        self.session.receive_frame(pong, self.clock.now())

    def ignore_pings(self, ignored: bool) -> None:
        """Leave the container's pings unanswered, or answer them again (F5)."""
        self._container.ignore_pings(ignored)

    def receive_metering(self, frame: Frame) -> None:
        """Take a metering frame as if the container had sent it on its metadata stream (M2)."""
        self._usage.take(frame, self.clock.unscaled.now())

    @property
    def metering(self) -> dict[str, float]:
        """Units that the container reported, by dimension (M2)."""
        return dict(self._usage.metering.units)

    @property
    def _over(self) -> bool:
        return self.session.ending is not None

    @staticmethod
    async def _stop(tasks: Sequence[asyncio.Task[object]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _flush(self) -> None:
        """Let the client take what it has been sent, within reason."""
        try:
            async with self.clock.unscaled.within(LINGER_SECONDS):
                await self.stream.flushed()
        except TimeoutError:
            logger.warning(
                "%s: the client did not read the end of its stream within %g s: reset",
                self.id,
                LINGER_SECONDS,
            )
            self.stream.reset(ErrorCodes.CANCEL)

    # What a session waits for.

    async def _from_client(self) -> None:
        try:
            while not self._over:
                self.session.resume_input(self.clock.now())
                data = await self.stream.receive()
                now = self.clock.now()
                if data is None:
                    await self._perform(self.session.receive_end(now))
                    return
                outputs = self.session.receive_data(data, now=now, utc=self.clock.utc())
                if (wait := self._relay.perform(outputs)) is not None:
                    await wait
                if self._container.congested:
                    # E3: the end of the input overtakes what a slow container has not taken.
                    await first_of(self._container.drain(), self.stream.request_end.wait())
        except StreamReset as reset:
            await self._perform(self.session.receive_reset(reset.why, by=reset.by))

    async def _watch_client(self) -> None:
        # While input waits for a stalled container, nobody else would notice.
        reset = await self.stream.gone()
        await self._perform(self.session.receive_reset(reset.why, by=reset.by))
        # Also where the session was over, and its last words were held on their way.
        self._relay.ended.set()

    async def _from_container(self) -> None:
        try:
            while not self._over:
                received = await self._container.receive()
                if isinstance(received, Closed):
                    await self._relay.container_caught_up()
                    await self._perform(self._receive_end_of_container(received))
                    return
                await self._relay.receive_frames(received)
                self._output_unread = True
                await self.stream.drain()
                self._output_unread = False
        except StreamReset as reset:
            await self._perform(self.session.receive_reset(reset.why, by=reset.by))

    def _receive_end_of_container(self, closed: Closed) -> Sequence[Output]:
        if not self._over:
            self._border.tell("container", "received", CloseContainer(closed.code, closed.reason))
        if closed.error is not None:
            return self.session.receive_error(closed.error, closed.reason)
        return self.session.receive_close(closed.code, closed.reason)

    async def _from_metadata(self) -> None:
        if self._metadata is not None:
            closed = await self._metadata.read()
            if self._metadata.required:
                await self._perform(self.session.receive_metadata_end(closed.code))
                return
        # A session goes on without a metadata stream that it does not need.
        await asyncio.get_running_loop().create_future()

    async def _keep_time(self) -> None:
        while (deadline := self.session.deadline()) is not None:
            await self.clock.sleep_until(deadline)
            now = self.clock.now()
            timeout = self.session.receive_timeout(now, output_unread=self._output_unread)
            await self._perform(timeout)

    async def _perform(self, outputs: Sequence[Output]) -> None:
        if (wait := self._relay.perform(outputs)) is not None:
            await wait
