"""AWS's JavaScript parts, with their own signer, codec and HTTP/2, stream through the emulator."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.misbehaving import (
    CloseAfter,
    MisbehavingContainer,
    RefuseUpgrade,
)
from sagemaker_bidi_fixtures.containers.server import FrameServer
from tests.node import environment
from tests.transport.world import stalls

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(environment.why_not() is not None, reason=str(environment.why_not())),
]

SCRIPT = Path(__file__).with_name("talk.mjs")


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    environment.install()


@pytest.fixture
async def emulator(echo: EchoContainer) -> AsyncIterator[Emulator]:
    async with (
        MisbehavingContainer(CloseAfter(1, 1011, "engine died")) as dying,
        MisbehavingContainer(RefuseUpgrade(503)) as refusing,
        FrameServer(stalls, port=0) as silent,
    ):
        endpoints = {
            "echo": echo.url,
            "dying": dying.url,
            "refusing": refusing.url,
            "silent": silent.url,
        }
        config = Config(port=0, health="off", contract={"accept_seconds": 10.0})
        async with Emulator(endpoints, config=config) as running:
            yield running


async def seen_by_node(emulator: Emulator, case: str) -> dict[str, Any]:
    """What the client saw; Node itself fails where it is not handed the CA."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), emulator.url, case),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **emulator.trust(), "NODE_EXTRA_CA_CERTS": str(emulator.ca)},
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert out, f"the script said nothing: {err.decode()}"
    report: dict[str, Any] = json.loads(out)
    return report


def parts(report: dict[str, Any]) -> list[tuple[bytes, str, str]]:
    return [
        (base64.b64decode(part["base64"]), part["DataType"], part["CompletionState"])
        for part in report["seen"]
    ]


@pytest.mark.clause("W4", "F2")
async def test_text_comes_back_as_text(emulator: Emulator) -> None:
    report = await seen_by_node(emulator, "text")
    assert parts(report) == [
        ("grüße".encode(), "UTF8", "COMPLETE"),
        (b"two", "UTF8", "COMPLETE"),
    ]
    assert (report["variant"], report["ended"]) == ("AllTraffic", "end of stream")


@pytest.mark.clause("F1", "F2")
async def test_bytes_come_back_as_they_are(emulator: Emulator) -> None:
    report = await seen_by_node(emulator, "binary")
    assert parts(report) == [
        (bytes([0, 255, 254, 10]), "BINARY", "COMPLETE"),
        (b"\x01", "BINARY", "COMPLETE"),
    ]


@pytest.mark.clause("F3")
async def test_a_fragmented_message_comes_back_in_fragments(emulator: Emulator) -> None:
    report = await seen_by_node(emulator, "fragments")
    assert parts(report) == [(b"one", "UTF8", "PARTIAL"), (b"two", "UTF8", "COMPLETE")]


@pytest.mark.clause("W4")
async def test_two_hundred_parts_make_a_whole_chain_of_signatures(emulator: Emulator) -> None:
    report = await seen_by_node(emulator, "many")
    assert parts(report) == [(f"part {i}".encode(), "UTF8", "COMPLETE") for i in range(200)]
    assert report["ended"] == "end of stream"


@pytest.mark.clause("O4", "E8")
async def test_a_424_is_known_while_the_input_is_open(emulator: Emulator) -> None:
    report = await seen_by_node(emulator, "refused")
    assert report == {
        "raised": "ModelError",
        "message": 'Received server error (424) from primary with message "Failed to establish '
        'WebSocket connection".',
        "status": 424,
        "ErrorCode": "INTERNAL_FAILURE_FROM_MODEL",
        "OriginalStatusCode": 424,
        "OriginalMessage": "Failed to establish WebSocket connection",
    }


@pytest.mark.clause("O5")
async def test_an_unknown_endpoint_is_a_validation_error(emulator: Emulator) -> None:
    report = await seen_by_node(emulator, "no-endpoint")
    assert (report["raised"], report["status"]) == ("ValidationError", 400)


@pytest.mark.clause("E1")
async def test_a_close_frame_is_a_model_stream_error(emulator: Emulator) -> None:
    report = await seen_by_node(emulator, "model-error")
    assert report == {"raised": "ModelStreamError", "message": "engine died", "ErrorCode": "1011"}


@pytest.mark.clause("E3")
async def test_a_half_close_ends_the_stream_without_a_word(emulator: Emulator) -> None:
    assert await seen_by_node(emulator, "half-close") == {"seen": [], "ended": "end of stream"}
    [session] = emulator.sessions
    assert session.ending is not None
    assert (session.ending.by, session.ending.clause) == ("client", "E3")
