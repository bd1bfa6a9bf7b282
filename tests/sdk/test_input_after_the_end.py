"""What releases of the SDK show of an input that stays open after its response is complete."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi_fixtures.containers.misbehaving import (
    CloseAfter,
    MisbehavingContainer,
    RefuseUpgrade,
)
from tests.sdk.environments import python_with

pytestmark = [pytest.mark.sdk, pytest.mark.clause("E8")]

SCRIPT = Path(__file__).with_name("send_on.py")
# 32 kB each: more than the emulator's window for a stream and the SDK's own buffers together.
PARTS = 200


async def seen_by(release: str, *, reset: bool) -> dict[str, Any]:
    """What a client on that release reports."""
    python = await asyncio.to_thread(python_with, release)
    config = Config(port=0, contract={"accept_seconds": 10.0, "reset_open_input": reset})
    async with (
        MisbehavingContainer(CloseAfter(1, 1000, "enough")) as ending,
        MisbehavingContainer(RefuseUpgrade(503)) as refusing,
        Emulator({"ending": ending.url, "refusing": refusing.url}, config=config) as emulator,
    ):
        process = await asyncio.create_subprocess_exec(
            *(str(python), "-W", "ignore", str(SCRIPT), emulator.url, str(PARTS)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **emulator.trust()},
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert out, f"the script said nothing: {err.decode()}"
    report: dict[str, Any] = json.loads(out)
    return report


@pytest.mark.parametrize(("release", "while_open"), [("0.4.0", None), ("newest", "ModelError")])
async def test_a_client_that_sends_on_does_not_hang_and_0_4_hears_of_a_424_at_its_close(
    release: str, while_open: str | None
) -> None:
    report = await seen_by(release, reset=False)
    assert report == {"sent": PARTS, "open": while_open, "closed": "ModelError"}


@pytest.mark.parametrize("release", ["0.4.0", "newest"])
async def test_with_the_reset_both_are_the_other_way_round(release: str) -> None:
    report = await seen_by(release, reset=True)
    assert report["sent"] < PARTS
    assert report["open"] == "ModelError"
