"""Bridges and models that are wrong in ways that the reference bridge is not."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from sagemaker_bidi_contract.verdicts import Verdict
from sagemaker_bidi_fixtures.vllm import RealtimeSession, Recogniser, StandInVLLM
from sagemaker_bidi_fixtures.vllm.events import (
    ErrorEvent,
    ServerEvent,
    TranscriptionDelta,
    TranscriptionDone,
)
from tests.contract_tests.running import check_bridge, check_one


@dataclass(frozen=True)
class Wrong:
    """What a bridge does wrong; nothing unless said."""

    always_healthy: bool = False
    binary_as_text: bool = False
    keeps_first: bool = False
    holds_backend: bool = False
    closes_with: int | None = None
    dies_with_backend: bool = False


@dataclass(frozen=True)
class Address:
    url: str


@asynccontextmanager
async def bad_bridge(backend_url: str, wrong: Wrong) -> AsyncIterator[Address]:
    """A bridge of `websockets` on both sides."""
    held: list[ClientConnection] = []

    async def page(connection: ServerConnection, request: Request) -> Response | None:
        if request.path != "/ping":
            return None
        return connection.respond(200 if wrong.always_healthy else 503, "")

    async def bridge(client: ServerConnection) -> None:
        backend = await connect(backend_url, compression=None, ping_interval=None, max_size=None)
        if wrong.holds_backend:
            held.append(backend)
        up = asyncio.create_task(to_backend(client, backend))
        try:
            with contextlib.suppress(ConnectionClosed):
                async for message in backend:
                    await client.send(message)
        finally:
            up.cancel()
        if wrong.dies_with_backend:
            client.transport.abort()
        elif wrong.closes_with is not None:
            await client.close(wrong.closes_with, "over")
        elif backend.close_code is not None:
            await client.close(backend.close_code, backend.close_reason or "")

    async def to_backend(client: ServerConnection, backend: ClientConnection) -> None:
        first = True
        with contextlib.suppress(ConnectionClosed):
            async for message in client:
                if wrong.keeps_first and first:
                    first = False
                    continue
                if wrong.binary_as_text and isinstance(message, bytes):
                    await backend.send(message.decode("latin-1"))
                else:
                    await backend.send(message)
        if not wrong.holds_backend:
            await backend.close()

    async with serve(
        bridge, "127.0.0.1", 0, compression=None, process_request=page, max_size=None
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield Address(f"ws://127.0.0.1:{port}")
        for backend in held:
            backend.transport.abort()


@pytest.mark.parametrize(
    ("wrong", "check_id", "verdict", "says"),
    [
        (
            Wrong(always_healthy=True),
            "bridge.ping-page-dead-backend",
            Verdict.FAILED,
            "with a dead backend, GET /ping: HTTP 200",
        ),
        (Wrong(), "bridge.message-kinds", Verdict.OK, "kept its bytes"),
        (Wrong(binary_as_text=True), "bridge.message-kinds", Verdict.FAILED, "other bytes"),
        (Wrong(keeps_first=True), "bridge.head", Verdict.FAILED, "199 of 200 messages"),
        (Wrong(holds_backend=True), "bridge.client-gone", Verdict.FAILED, "stayed open"),
        (Wrong(closes_with=1011), "bridge.backend-close", Verdict.FAILED, "1000 became Close 1011"),
        (Wrong(closes_with=1000), "bridge.backend-close", Verdict.FAILED, "1011 became Close 1000"),
        (Wrong(), "bridge.backend-close", Verdict.OK, "1011 became Close 1011 'engine died'"),
        (
            Wrong(dies_with_backend=True),
            "bridge.backend-dies",
            Verdict.NON_STRICT,
            "TCP ended without a Close frame",
        ),
        (Wrong(), "bridge.no-compression", Verdict.OK, "no extension"),
    ],
)
async def test_what_a_bridge_does_wrong_is_found_by_its_check(
    wrong: Wrong, check_id: str, verdict: Verdict, says: str
) -> None:
    report = await check_bridge(lambda url: bad_bridge(url, wrong), check_id)
    (finding,) = report.findings
    assert (finding.verdict, says in finding.summary) == (verdict, True), finding.summary


async def test_a_bridge_to_elsewhere_is_told_that_the_backend_saw_nothing() -> None:
    async with StandInVLLM(port=0) as elsewhere:
        report = await check_bridge(
            lambda url: bad_bridge(f"{elsewhere.url}/v1/realtime", Wrong()), "bridge.head"
        )
    (finding,) = report.findings
    assert finding.verdict is Verdict.FAILED
    assert "the container opened no connection to the backend within 5 s" in finding.summary


class Forgetful(RealtimeSession):
    """Leaves the first word out of the done."""

    def advance(self, now: float) -> list[ServerEvent]:
        events = super().advance(now)
        return [
            TranscriptionDone("nothing", 39, event.completion_tokens)
            if isinstance(event, TranscriptionDone)
            else event
            for event in events
        ]


class Mute(RealtimeSession):
    """Says done and no word before it."""

    def advance(self, now: float) -> list[ServerEvent]:
        events = super().advance(now)
        return [
            TranscriptionDone("", 39, 0) if isinstance(event, TranscriptionDone) else event
            for event in events
            if not isinstance(event, TranscriptionDelta)
        ]


class Curt(RealtimeSession):
    """Begins with an error, and has one code for everything."""

    def open(self) -> list[ServerEvent]:
        return [ErrorEvent("no", "busy")]


class Vague(RealtimeSession):
    """Has one code for everything."""

    def receive_text(self, text: str, now: float) -> list[ServerEvent]:
        return [ErrorEvent("no", "bad_request")] if json.loads(text) else []


@pytest.mark.parametrize(
    ("session", "check_id", "verdict", "says"),
    [
        (Forgetful, "realtime.utterance", Verdict.FAILED, "is not the deltas joined"),
        (Mute, "realtime.utterance", Verdict.NON_STRICT, "0 deltas and a done"),
        (Curt, "realtime.session-created", Verdict.FAILED, "the error busy came first"),
        (Vague, "realtime.unknown-type", Verdict.NON_STRICT, "code is 'bad_request'"),
        (Vague, "realtime.utterance", Verdict.FAILED, "the error bad_request came in place"),
        (Vague, "realtime.second-utterance", Verdict.FAILED, "the error bad_request"),
    ],
)
async def test_what_a_model_says_wrong_is_found_by_its_check(
    session: type[RealtimeSession], check_id: str, verdict: Verdict, says: str
) -> None:
    async with StandInVLLM(port=0, conversation=lambda: session(Recogniser())) as vllm:
        finding = await check_one(
            vllm.url, check_id, model_protocol="vllm-realtime", path="/v1/realtime"
        )
    assert (finding.verdict, says in finding.summary) == (verdict, True), finding.summary
