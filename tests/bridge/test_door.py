"""A health page says yes only where a session opens; and what vLLM is told at the door."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

from sagemaker_bidi_bridge import BridgeServer
from tests.bridge.peers import LIMIT_SECONDS, echo, sagemaker, settings_for, vllm

KEY = "sesame-4711"


class Doorkeeper:
    """A vLLM behind a key; its health page is for everybody, as vLLM's own is."""

    def __init__(self, key: str = KEY) -> None:
        self.key = key
        self.upgrades: list[Headers] = []

    def __call__(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/health":
            return connection.respond(200, "")
        self.upgrades.append(request.headers)
        if request.headers.get("Authorization") == f"Bearer {self.key}":
            return None
        return connection.respond(401, "")


@asynccontextmanager
async def behind(keeper: Doorkeeper, **values: Any) -> AsyncIterator[BridgeServer]:
    async with (
        vllm(echo, process_request=keeper) as url,
        BridgeServer(settings_for(url, health_timeout_ms=5_000, **values)) as bridge,
    ):
        yield bridge


async def ping(bridge: BridgeServer) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(bridge.url.replace("ws:", "http:") + "/ping")


async def test_with_the_key_sessions_open_and_ping_says_200(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "websockets")  # the stand-in's own
    async with behind(Doorkeeper(), backend_api_key=KEY) as bridge:
        assert (await ping(bridge)).status_code == 200
        async with sagemaker(bridge.url) as client:
            await client.send("hello")
            assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == "hello"
    assert KEY not in caplog.text


@pytest.mark.clause("K4")
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "it wants an API key; give it in BRIDGE_BACKEND_API_KEY or VLLM_API_KEY"),
        ({"backend_api_key": "wrong-4712"}, "it wants another API key than BRIDGE_BACKEND_API_KEY"),
    ],
)
async def test_without_the_right_key_ping_says_503_and_why_before_any_session(
    values: dict[str, str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind(Doorkeeper(), **values) as bridge:
        answer = await ping(bridge)
        with pytest.raises(InvalidStatus):
            await sagemaker(bridge.url)
    assert answer.status_code == 503
    assert reason in answer.json()["reason"]
    assert "4712" not in caplog.text + answer.text


async def test_a_door_that_was_open_is_tried_again_after_a_refusal_and_until_it_opens() -> None:
    keeper = Doorkeeper()
    async with behind(keeper, backend_api_key=KEY) as bridge:
        assert (await ping(bridge)).status_code == 200
        keeper.key = "changed"
        assert (await ping(bridge)).status_code == 200  # nobody has been refused yet
        with pytest.raises(InvalidStatus):
            await sagemaker(bridge.url)
        assert (await ping(bridge)).status_code == 503
        keeper.key = KEY
        assert (await ping(bridge)).status_code == 200


async def test_the_door_is_tried_once_and_not_at_each_ping() -> None:
    keeper = Doorkeeper()
    async with behind(keeper, backend_api_key=KEY) as bridge:
        for _ in range(3):
            await ping(bridge)
    assert len(keeper.upgrades) == 1


async def test_a_trace_and_the_request_id_go_on_to_vllm() -> None:
    keeper = Doorkeeper()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {
        "traceparent": trace,
        "tracestate": "vendor=1",
        "X-Amzn-SageMaker-Request-Id": "4c1-aa",
        "Authorization": "Bearer of the client's",
    }
    async with (
        behind(keeper, backend_api_key=KEY) as bridge,
        sagemaker(bridge.url, additional_headers=headers),
    ):
        pass
    (found,) = keeper.upgrades
    assert (found["traceparent"], found["tracestate"]) == (trace, "vendor=1")
    assert found["X-Request-Id"] == "4c1-aa"
    assert found.get_all("Authorization") == [f"Bearer {KEY}"]


async def test_an_id_that_no_header_takes_is_left_out_and_the_session_opens() -> None:
    keeper = Doorkeeper()
    async with behind(keeper, backend_api_key=KEY) as bridge:
        headers = {"X-Amzn-SageMaker-Request-Id": "grüße"}
        async with sagemaker(bridge.url, additional_headers=headers):
            pass
    (found,) = keeper.upgrades
    assert "X-Request-Id" not in found
