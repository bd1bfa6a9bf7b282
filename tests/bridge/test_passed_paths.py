"""Paths that the bridge passes on to the backend, for a client that names one (O2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_bridge.settings import SettingsError, read_settings
from sagemaker_bidi_fixtures.vllm import StandInVLLM
from tests.bridge.peers import DATA_PATH, LIMIT_SECONDS, settings_for
from tests.transport.lean_client import LeanClient

SPEECH = "/v1/audio/speech/stream"


@pytest.fixture
async def bridge() -> AsyncIterator[BridgeServer]:
    """A bridge before vLLM-Omni that passes its speech on."""
    async with StandInVLLM(port=0, plays="omni") as vllm:
        settings = settings_for(f"{vllm.url}/v1/realtime", backend_paths=SPEECH)
        async with BridgeServer(settings) as bridge:
            yield bridge


async def received(socket: ClientConnection) -> str | bytes:
    return await asyncio.wait_for(socket.recv(), LIMIT_SECONDS)


async def test_text_goes_in_and_binary_audio_comes_out(bridge: BridgeServer) -> None:
    async with connect(bridge.url + SPEECH) as socket:
        await socket.send('{"type": "session.config", "response_format": "pcm"}')
        await socket.send('{"type": "input.text", "text": "hello"}')
        await socket.send('{"type": "input.done"}')
        assert json.loads(await received(socket))["type"] == "audio.start"
        assert len(await received(socket)) == 2 * 4_800
        assert json.loads(await received(socket))["type"] == "audio.done"


async def test_the_data_path_still_leads_to_the_realtime_api(bridge: BridgeServer) -> None:
    async with connect(bridge.url + DATA_PATH) as socket:
        assert json.loads(await received(socket))["type"] == "session.created"


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/realtime", f"{SPEECH}/more"])
async def test_any_other_path_is_refused(bridge: BridgeServer, path: str) -> None:
    with pytest.raises(InvalidStatus, match="404"):
        await connect(bridge.url + path)


@pytest.mark.clause("O2")
async def test_a_client_chooses_it_by_its_invocation_path(bridge: BridgeServer) -> None:
    config = Config(port=0, health="off", contract={"accept_seconds": 10.0})
    async with (
        Emulator({"omni": bridge.url}, config=config) as emulator,
        LeanClient(emulator.url, emulator.ca) as client,
    ):
        chosen = {"X-Amzn-SageMaker-Model-Invocation-Path": SPEECH.removeprefix("/")}
        stream = await client.open("omni", headers=chosen)
        for message in (
            '{"type": "session.config", "response_format": "pcm"}',
            '{"type": "input.text", "text": "hello"}',
            '{"type": "input.done"}',
        ):
            await stream.send(message.encode(), "UTF8")
        kinds = []
        for _ in range(3):
            part = await stream.receive()
            assert part is not None
            kinds.append(part.message.headers["DataType"])
        assert kinds == ["UTF8", "BINARY", "UTF8"]


def test_several_paths_stand_in_one_variable() -> None:
    settings, warnings = read_settings({"BRIDGE_BACKEND_PATHS": " /a/b , /c.d,/a/b,"})
    assert settings.passed_on == ("/a/b", "/c.d")
    assert warnings == []
    assert settings.backend_at("/c.d") == "ws://127.0.0.1:8081/c.d"
    assert settings.backend_at(DATA_PATH) == settings.backend_url


@pytest.mark.parametrize(
    "paths", ["v1/realtime", "/", "/a//b", "/a b", "/a?b=c", "/ping", f"/a,{DATA_PATH}"]
)
def test_a_path_that_no_client_can_name_or_that_is_the_bridges_own_is_refused(paths: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({"BRIDGE_BACKEND_PATHS": paths})
    (problem,) = refused.value.problems
    assert problem.startswith("BRIDGE_BACKEND_PATHS=")
    assert "expected paths of letters, digits and -._ with commas between" in problem
