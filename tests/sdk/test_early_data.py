"""A client that sends a whole first window before it hears from the server goes on all the same."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi import Emulator
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_fixtures.speech import recording
from sagemaker_bidi_fixtures.vllm.server import StandInVLLM
from tests.bridge.peers import settings_for
from tests.sdk.environments import RELEASES, python_with
from tests.sdk.held_back import FIRST_WINDOW, HeldBack

pytestmark = pytest.mark.sdk

SPEECH = recording("quick-brown-fox")
HERE = Path(__file__).parent


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with (
        StandInVLLM(port=0) as vllm,
        BridgeServer(settings_for(f"{vllm.url}/v1/realtime")) as bridge,
        Emulator({"voxtral": bridge.url}) as emulator,
    ):
        yield emulator


@pytest.mark.parametrize("release", RELEASES)
async def test_a_client_whose_data_overtakes_our_settings_sends_all_it_has(
    release: str, emulator: Emulator
) -> None:
    python = await asyncio.to_thread(python_with, release)
    script = "stream_wav_newest.py" if release == "newest" else "stream_wav_legacy.py"
    async with HeldBack(emulator.url) as between:
        process = await asyncio.create_subprocess_exec(
            *(str(python), "-W", "ignore", str(HERE / script), "--endpoint-url", between.url),
            *("--endpoint-name", "voxtral", "--wav", str(SPEECH.path), "--order", "send-first"),
            *("--speed", "0", "--timeout", "20"),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **emulator.trust()},
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    trace = "\n".join(between.trace)
    heard = between.trace.index(next(line for line in between.trace if line.startswith("< ")))
    before = sum(int(line.split()[2]) for line in between.trace[:heard] if " DATA " in line)
    assert before == FIRST_WINDOW, trace
    assert report["text"] is not None, f"{report['exceptions']}\n{trace}"
    assert report["text"].strip() == SPEECH.words
