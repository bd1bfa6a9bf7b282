"""What we build on the AWS SDK works with each release of it that an application may have."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sagemaker_bidi import Emulator
from sagemaker_bidi.recordings.files import read_recording, within
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.speech import recording
from sagemaker_bidi_fixtures.vllm.server import StandInVLLM
from tests.bridge.peers import settings_for
from tests.sdk.environments import RELEASES, packages_of, python_with

pytestmark = pytest.mark.sdk

SPEECH = recording("quick-brown-fox")
LIMIT = 90.0  # a bound for what would otherwise hang, never a wait


@dataclass(frozen=True)
class Told:
    """How a command ended."""

    status: int | None
    out: str
    err: str


@pytest.fixture(params=RELEASES)
async def packages(request: pytest.FixtureRequest) -> Path:
    """Where a release lies; before all others on the path, it is the one that is installed."""
    return packages_of(await asyncio.to_thread(python_with, request.param))


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with (
        StandInVLLM(port=0) as vllm,
        BridgeServer(settings_for(f"{vllm.url}/v1/realtime")) as bridge,
        EchoContainer(port=0) as echo,
        Emulator({"voxtral": bridge.url, "echo": echo.url}) as emulator,
    ):
        yield emulator


def environment(packages: Path, *others: dict[str, str], without: str = "AWS_") -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    given = {name: value for other in others for name, value in other.items()}
    return {**own, **given, "PYTHONPATH": str(packages), "AWS_EC2_METADATA_DISABLED": "true"}


async def started(
    arguments: list[str], env: dict[str, str], *options: str
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, *options, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
    )


async def bidi(*arguments: str, env: dict[str, str]) -> Told:
    process = await started(["-m", "sagemaker_bidi.commands.bidi", *arguments], env)
    out, err = await asyncio.wait_for(process.communicate(), LIMIT)
    return Told(process.returncode, out.decode(), err.decode())


def transcribe(emulator: Emulator, endpoint: str = "voxtral") -> list[str]:
    to = ["--endpoint-name", endpoint, "--endpoint-url", emulator.url]
    return ["transcribe", str(SPEECH.path), *to, "--speed", "8"]


async def test_the_release_under_test_is_the_one_that_is_imported(packages: Path) -> None:
    code = "import aws_sdk_sagemaker_runtime_http2 as a, awscrt; print(a.__file__, awscrt.__file__)"
    process = await started(["-c", code], environment(packages))
    out, _ = await asyncio.wait_for(process.communicate(), LIMIT)

    assert [Path(each).is_relative_to(packages) for each in out.decode().split()] == [True, True]


async def test_transcribe_prints_the_words(packages: Path, emulator: Emulator) -> None:
    told = await bidi(*transcribe(emulator), env=environment(packages, emulator.trust()))

    assert (told.status, told.out.strip()) == (0, SPEECH.words), told.err


async def test_keys_region_and_address_may_come_from_a_profile(
    packages: Path, emulator: Emulator, tmp_path: Path
) -> None:
    trust = emulator.trust()
    (tmp_path / "credentials").write_text(
        f"[voice]\naws_access_key_id = {trust['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {trust['AWS_SECRET_ACCESS_KEY']}\n"
    )
    (tmp_path / "config").write_text("[profile voice]\nregion = us-east-1\n")
    profile = {
        "AWS_PROFILE": "voice",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "SSL_CERT_FILE": trust["SSL_CERT_FILE"],
    }

    told = await bidi(*transcribe(emulator), env=environment(packages, profile))

    assert (told.status, told.out.strip()) == (0, SPEECH.words), told.err


@pytest.mark.parametrize(
    ("missing", "advice"),
    [("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY isn't: set both"), ("AWS_R", "AWS_REGION")],
)
async def test_what_is_missing_is_named(
    packages: Path, emulator: Emulator, tmp_path: Path, missing: str, advice: str
) -> None:
    given = {
        name: value
        for name, value in emulator.trust().items()
        if not name.startswith((missing, "AWS_DEFAULT_R"))
    }
    if missing != "AWS_R":
        given["AWS_REGION"] = "us-east-1"
    no_files = {name: str(tmp_path / "none") for name in ("AWS_CONFIG_FILE",)}
    no_files["AWS_SHARED_CREDENTIALS_FILE"] = str(tmp_path / "none")

    told = await bidi(*transcribe(emulator), env=environment(packages, given, no_files))

    assert told.status == 1
    assert advice in told.err
    assert "Traceback" not in told.err


@pytest.mark.clause("O5")
async def test_a_refusal_is_told_in_the_service_s_words(packages: Path, emulator: Emulator) -> None:
    env = environment(packages, emulator.trust())

    told = await bidi(*transcribe(emulator, "nowhere"), env=env)

    assert told.status == 1
    assert "HTTP 400 ValidationError: Endpoint nowhere" in told.err


async def test_check_holds_an_endpoint_to_the_contract(packages: Path, emulator: Emulator) -> None:
    to = ["check", emulator.url, "--endpoint-name", "echo", "--behind", "echo"]

    told = await bidi(*to, env=environment(packages, emulator.trust()))

    assert told.status == 0, told.out + told.err
    assert re.search(r"^OK +endpoint\.sdk-echo ", told.out, re.MULTILINE)


async def test_record_stands_in_front_of_an_endpoint(
    packages: Path, emulator: Emulator, tmp_path: Path
) -> None:
    env = environment(packages, emulator.trust(), {"PYTHONUNBUFFERED": "1"})
    front = ["record", "--endpoint", f"voxtral={emulator.url}/voxtral", "--port", "0"]
    recorder = await started(
        ["-m", "sagemaker_bidi.commands.bidi", *front, "--to", str(tmp_path)], env
    )
    assert recorder.stdout is not None
    try:
        line = await asyncio.wait_for(recorder.stdout.readline(), LIMIT)
        (url,) = re.findall(r"https://\S+", line.decode())
        asked = transcribe(emulator)
        asked[asked.index(emulator.url)] = url
        told = await bidi(*asked, env=env)
    finally:
        recorder.terminate()
        await asyncio.wait_for(recorder.communicate(), LIMIT)

    assert (told.status, told.out.strip()) == (0, SPEECH.words), told.err
    (file,) = within([tmp_path])
    assert read_recording(file).events
