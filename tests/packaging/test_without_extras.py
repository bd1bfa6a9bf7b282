"""`sagemaker-bidi` without extras: what works, and what says that it needs one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.packaging.conftest import Environment

# Each works: a container of ours is held to the contract, served, recorded and played again.
WORKS = {
    "trust": ["trust"],
    "scenarios": ["scenarios"],
    "scenario": ["scenario", "latency"],
    "faults": ["faults", "--help"],
    "har": ["har", "--help"],
    "replay": ["replay", "--help"],
    "record": ["record", "--help"],
    "check": ["check", "--help"],
    "serve": ["serve", "--help"],
}
CLIENT = "pip install 'sagemaker-bidi[client]'"
DEMO = "pip install 'sagemaker-bidi[demo]'"
# Each says what is missing; the address is never asked.
AT = "https://127.0.0.1:9"
LACKS = {
    "demo": (["demo"], DEMO),
    "transcribe": (["transcribe", "speech.wav", "--endpoint-name", "voxtral"], CLIENT),
    "check https": (["check", AT, "--endpoint-name", "voxtral"], CLIENT),
    "check of a model": (
        ["check", "ws://127.0.0.1:9", "--model-protocol", "vllm-realtime"],
        CLIENT,
    ),
    "record https": (
        ["record", "--endpoint", f"voxtral={AT}/voxtral", "--to", "recordings", "--port", "0"],
        CLIENT,
    ),
    "serve https": (["serve", "--endpoint", f"voxtral={AT}/voxtral", "--port", "0"], CLIENT),
    "serve https by workers": (
        ["serve", "--endpoint", f"voxtral={AT}/voxtral", "--port", "0", "--workers", "2"],
        CLIENT,
    ),
}
HEAVY = ("aws_sdk_sagemaker_runtime_http2", "awscrt", "fastapi", "numpy", "soundfile", "uvicorn")


@pytest.mark.parametrize("name", WORKS)
def test_a_command_that_needs_no_extra_works(name: str, plain: Environment, tmp_path: Path) -> None:
    done = plain.run("bidi", *WORKS[name], cwd=tmp_path)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", LACKS)
def test_a_command_that_lacks_an_extra_says_which(
    name: str, plain: Environment, tmp_path: Path
) -> None:
    arguments, advice = LACKS[name]

    done = plain.run("bidi", *arguments, cwd=tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.strip().endswith(advice)
    assert len(done.stderr.strip().splitlines()) == 1


def python(plain: Environment, code: str, where: Path) -> subprocess.CompletedProcess[str]:
    return plain.run("python", "-c", code, cwd=where)


def test_what_needs_an_extra_is_not_there(plain: Environment, tmp_path: Path) -> None:
    code = f"import importlib.util as u; print([n for n in {HEAVY} if u.find_spec(n)])"

    assert python(plain, code, tmp_path).stdout.strip() == "[]"


def test_a_container_is_checked_behind_no_sdk(plain: Environment, tmp_path: Path) -> None:
    code = """
import asyncio, sys
from sagemaker_bidi_fixtures.containers.echo import EchoContainer

async def main():
    async with EchoContainer(port=0) as echo:
        check = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sagemaker_bidi.commands.bidi", "check", echo.url
        )
        return await check.wait()

sys.exit(asyncio.run(main()))
"""
    done = python(plain, code, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " OK" in done.stdout


def test_an_emulator_runs_with_a_scenario_and_its_control_api(
    plain: Environment, tmp_path: Path
) -> None:
    code = """
import asyncio, sys
from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.inspector.control import Control
from sagemaker_bidi_fixtures.containers.echo import EchoContainer

async def main():
    async with EchoContainer(port=0) as echo:
        async with Emulator({"echo": echo.url}, config=Config(port=0)) as emulator:
            async with emulator.scenario("latency"), Control(emulator) as control:
                print(emulator.url, control.url)

asyncio.run(main())
heavy = {heavy} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
""".replace("{heavy} &", f"set({HEAVY}) &")
    done = python(plain, code, tmp_path)

    assert done.returncode == 0, done.stderr


def test_pytest_s_plugin_says_what_an_import_error_of_the_extra_would(
    plain: Environment, tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text("import sagemaker_bidi.testing.containers\n")

    done = plain.run("python", "-m", "pytest", "-q", cwd=tmp_path)

    assert "pip install 'sagemaker-bidi[containers]'" in done.stdout
