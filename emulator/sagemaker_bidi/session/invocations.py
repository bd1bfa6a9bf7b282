"""Answers requests on 8443: checks an invocation, opens the container, runs the session (O1-O9)."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from sagemaker_bidi.clock import Clock, first_of
from sagemaker_bidi.contract.errors import (
    Refusal,
    Refused,
    authentication_refusal,
    internal_server_error,
    service_unavailable,
)
from sagemaker_bidi.contract.opening import (
    EVENT_STREAM,
    INVOKED_VARIANT,
    Invocation,
    read_invocation,
    read_route,
)
from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.contract.settings import ContractSettings
from sagemaker_bidi.contract.sigv4.chunks import ChunkChain
from sagemaker_bidi.contract.sigv4.credentials import Credentials
from sagemaker_bidi.contract.sigv4.request import (
    SignatureError,
    SignedRequest,
    VerifiedRequest,
    verify_request,
)
from sagemaker_bidi.endpoints.endpoints import Endpoints, Variant
from sagemaker_bidi.endpoints.monitor import Monitor
from sagemaker_bidi.session.attempt import Invoked
from sagemaker_bidi.session.containers import Containers, Opened
from sagemaker_bidi.session.kept import Kept
from sagemaker_bidi.session.live import LiveSession
from sagemaker_bidi.session.open_input import drain
from sagemaker_bidi.session.record import SessionRecord, log_end
from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.tap import Tap
from sagemaker_bidi.transport.http2.stream import Stream, StreamReset

logger = logger_named("bidi.session")

REMEMBERED_SESSIONS = 1000


class Invocations:
    """Everything behind the HTTP/2 layer.

    Args:
        settings: the contract's numbers and choices.
        endpoints: who can be invoked.
        monitor: whose containers are in service.
        keys: the known credentials by access key id.
        region: the region that signatures must name; None takes any.
        unknown_keys: whether requests signed with an unknown key are taken.
        clock: what all waiting asks.
        stopping: gives what is set when the emulator stops.
        taps: told of everything that passes.
        kept: what it keeps belongs to the sessions' records.
    """

    def __init__(
        self,
        *,
        settings: ContractSettings,
        endpoints: Endpoints,
        monitor: Monitor,
        keys: Mapping[str, Credentials],
        region: str | None,
        unknown_keys: Literal["accept", "refuse"],
        clock: Clock,
        stopping: Callable[[], asyncio.Event],
        taps: Sequence[Tap],
        kept: Kept,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._monitor = monitor
        self._containers = Containers(settings, clock)
        self._keys = keys
        self._region = region
        self._unknown_keys = unknown_keys
        self._clock = clock
        self._stopping = stopping
        self._taps = taps
        self._kept = kept
        self._openers = [tap for tap in taps if type(tap).opening is not Tap.opening]
        self._live: set[LiveSession] = set()
        self._tasks: set[asyncio.Task[object]] = set()
        self._opening: set[asyncio.Task[object]] = set()
        self._shut_down = False
        self.records: deque[SessionRecord] = deque(maxlen=REMEMBERED_SESSIONS)

    @property
    def open_sessions(self) -> int:
        """How many sessions run now."""
        return len(self._live)

    def end(self, session_id: str, why: str) -> bool:
        """End a session that runs, as if its model had (E2); False where there is none.

        Args:
            why: for the developer.
        """
        for live in self._live:
            if live.id == session_id:
                live.end(None, why)
                return True
        return False

    def shut_down(self) -> None:
        """End every session that still runs or opens; its client is told."""
        self._shut_down = True
        for live in list(self._live):
            live.shut_down()
        for opening in self._opening:
            opening.cancel()

    def abort(self) -> None:
        """End what is left without a word to anybody."""
        for task in self._tasks:
            task.cancel()

    async def serve(self, stream: Stream) -> None:
        """Answer one request."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(stream, task)
            if not self._settings.reset_open_input and stream.reset_code is None:
                await drain(stream, self._settings, self._clock, self._stopping())
        finally:
            self._tasks.discard(task)

    async def _serve(self, stream: Stream, task: asyncio.Task[object]) -> None:
        request_id = str(uuid.uuid4())
        try:
            invocation, verified = self._check(stream)
            variant = self._endpoints.find(invocation.endpoint).choose(invocation.target_variant)
            await self._monitor.asked(invocation.endpoint, variant.name)
            self._monitor.check_invocable(invocation.endpoint, variant)
            invoked = Invoked(
                request_id,
                invocation.endpoint,
                variant.name,
                self._clock,
                stream,
                invocation.container_path,
                variant.url,
            )
            self._opening.add(task)
            try:
                await self._ask_taps(invoked)
                opened = await self._containers.open(invocation, variant, request_id)
            finally:
                self._opening.discard(task)
        except asyncio.CancelledError:
            if not self._shut_down:
                raise
            task.uncancel()
            told = self._settings.shutdown_error.message
            why = "the emulator stopped before the stream was open"
            self._refuse(stream, request_id, service_unavailable(told, why))
        except Refused as refused:
            self._refuse(stream, request_id, refused.refusal)
        except StreamReset as reset:
            for tap in self._taps:
                tap.abandoned(request_id, reset.why, self._clock.now())
            raise
        except Exception as error:
            logger.exception("%s: the invocation failed", request_id)
            self._refuse(stream, request_id, internal_server_error(str(error)))
        else:
            try:
                await self._run(invoked, invocation, variant, opened, verified)
            finally:
                opened.abort()

    def _check(self, stream: Stream) -> tuple[Invocation, VerifiedRequest]:
        pseudo = {name: value for name, value in stream.headers if name.startswith(":")}
        headers = [(name, value) for name, value in stream.headers if not name.startswith(":")]
        if not any(name == "host" for name, _ in headers):
            headers.append(("host", pseudo.get(":authority", "")))
        method, target = pseudo[":method"], pseudo[":path"]
        path, _, query = target.partition("?")
        endpoint = read_route(method, path)
        try:
            verified = verify_request(
                SignedRequest(method, path, query, tuple(headers)),
                self._keys,
                now=self._clock.utc(),
                region=self._region,
                unknown_keys=self._unknown_keys,
                max_skew=self._settings.max_skew,
            )
        except SignatureError as error:
            raise Refused(
                authentication_refusal(error.type, error.message, error.detail)
            ) from error
        ignore_empty = self._settings.ignore_empty_target
        return read_invocation(endpoint, headers, ignore_empty=ignore_empty), verified

    def _refuse(self, stream: Stream, request_id: str, refusal: Refusal) -> None:
        logger.warning(
            "%s: refused with %d %s (%s): %s",
            request_id,
            refusal.status,
            refusal.type,
            refusal.clause,
            refusal.reason or refusal.message,
        )
        for tap in self._taps:
            tap.refused(request_id, refusal, self._clock.now())
        stream.send_headers(refusal.status, refusal.headers(request_id))
        stream.send(refusal.body())
        stream.end()

    async def _ask_taps(self, invoked: Invoked) -> None:
        if self._openers:
            reset = await first_of(self._open_taps(invoked), invoked.stream.gone())
            if reset is not None:
                raise reset

    async def _open_taps(self, invoked: Invoked) -> None:
        for tap in self._openers:
            await tap.opening(invoked)

    async def _run(
        self,
        invoked: Invoked,
        invocation: Invocation,
        variant: Variant,
        opened: Opened,
        verified: VerifiedRequest,
    ) -> None:
        # W5: the headers go out before any input, since most clients wait for them.
        invoked.stream.send_headers(
            200,
            [
                ("content-type", EVENT_STREAM),
                ("x-amzn-requestid", invoked.id),
                (INVOKED_VARIANT, variant.name),
            ],
        )
        now = self._clock.now()
        chain = ChunkChain(verified, self._keys, max_skew=self._settings.max_skew)
        session = Session(self._settings, chain, now)
        live = LiveSession(invoked, session, opened.data, now, self._taps, opened.metadata)
        record = SessionRecord(live, self._kept.begin(invoked.id))
        self.records.append(record)
        self._live.add(live)
        logger.info(
            "%s: open: %s to %s/%s at %s%s",
            invoked.id,
            invoked.stream.peer,
            invocation.endpoint,
            variant.name,
            variant.url,
            invocation.container_path,
        )
        try:
            for tap in self._taps:
                tap.opened(live)
            await live.run()
        finally:
            self._live.discard(live)
            closed_at = self._clock.now()
            record.close(closed_at)
            try:
                log_end(record)
                for tap in self._taps:
                    tap.ended(invoked.id, record.ending, closed_at)
            finally:
                record.wake()
