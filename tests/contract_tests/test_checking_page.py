"""Every command of docs/checking.md works as it stands there, on ports of the test's own."""

import re
import shlex
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.recordings.files import read_recording
from sagemaker_bidi_bridge import BridgeServer
from sagemaker_bidi_contract.container.stage import _NEEDS as CONTAINER_NEEDS
from sagemaker_bidi_contract.endpoint.stage import _NEEDS as NEEDS
from sagemaker_bidi_contract.obeying import ObeyingContainer
from sagemaker_bidi_contract.replay.choice import BUNDLED
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.bridge.peers import settings_for
from tests.contract_tests.endpoints import ACCEPT_SECONDS, environment
from tests.contract_tests.running import settle, unused_port
from tests.contract_tests.test_check_command import bidi_on, run_pytest
from tests.recordings.make_sessions import BRIDGED
from tests.recordings.make_sessions import bridged as stand_in

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "checking.md"
COMMANDS = re.findall(r"^\$ (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
CHECKS = [command for command in COMMANDS if command.startswith("bidi check")]
TESTS = [command for command in COMMANDS if command.startswith("pytest")]


@asynccontextmanager
async def targets(command: str) -> AsyncIterator[dict[str, str]]:
    """What a command finds at the page's addresses, by how it writes them."""
    scale = re.search(r"--time-scale (\d+)", command)
    backend = unused_port()
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(EchoContainer(port=0))
        obeying = await stack.enter_async_context(ObeyingContainer(port=0))
        model = box.url
        if BRIDGED in command:
            model = await stack.enter_async_context(stand_in())
        bridge = settings_for(f"ws://127.0.0.1:{backend}")
        bridged = await stack.enter_async_context(BridgeServer(bridge))
        variants = re.findall(r"--variant (\w+)=(\d+)", command)
        config = Config.model_validate(
            {
                "port": 0,
                "time_scale": float(scale[1]) if scale else 1.0,
                "health": "off",
                "contract": {"accept_seconds": ACCEPT_SECONDS},
                "endpoints": {
                    "echo": {"url": box.url},
                    "obeying": {"url": obeying.url},
                    "voxtral": {
                        "variants": [
                            {"name": name, "url": model, "weight": float(weight)}
                            for name, weight in variants or [("AllTraffic", "1")]
                        ]
                    },
                },
            }
        )
        emulator = await stack.enter_async_context(Emulator(config=config))
        stack.enter_context(environment(emulator.trust()))
        container = bridged.url if "--fake-backend" in command else model
        yield {
            "ws://127.0.0.1:8080": container,
            "https://127.0.0.1:8443": emulator.url,
            "https://runtime.sagemaker.eu-west-1.amazonaws.com:8443": emulator.url,
            "8081": str(backend),
        }
        await settle(container)


def arguments(command: str, at: dict[str, str], folder: Path) -> list[str]:
    """The command's words, with addresses and files of the test's own."""
    words = [at.get(word, word) for word in shlex.split(command)]
    words = [re.sub(r"^(--[a-z-]+=)?(?=fixtures/)", rf"\g<1>{ROOT}/", word) for word in words]
    return [str(folder / word) if word.startswith("report.") else word for word in words]


@pytest.mark.parametrize("command", CHECKS)
async def test_a_check_of_the_page_does_what_it_says(command: str, tmp_path: Path) -> None:
    async with targets(command) as at:
        done = await bidi_on(*arguments(command, at, tmp_path)[2:])
    assert done.exit_code == 0, done.output
    for name in re.findall(r"report\.\w+", command):
        assert (tmp_path / name).stat().st_size > 1_000


@pytest.mark.parametrize("command", TESTS)
async def test_a_run_of_pytest_on_the_page_makes_its_checks(command: str, tmp_path: Path) -> None:
    async with targets(command) as at:
        words = arguments(command, at, tmp_path)
        status, output = await run_pytest(
            tmp_path, *words[words.index("sagemaker_bidi_contract.suite") :]
        )
    # The emulator takes any key and any region unless it is told otherwise.
    assert status == (1 if "--bidi-strict" in command else 0), output
    assert re.search(r"\d+ passed", output)


def test_the_page_names_every_option_that_a_skipped_check_asks_for() -> None:
    asked = set(re.findall(r"--[a-z-]+", " ".join([*CONTAINER_NEEDS.values(), *NEEDS.values()])))
    commands = {"--backend-down-cmd", "--backend-up-cmd"}
    text = PAGE.read_text("utf-8")
    assert [option for option in sorted(asked - commands) if option not in text] == []


def test_the_page_names_the_containers_that_the_bundled_recordings_are_of() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    found = {read_recording(path).header.container for path in BUNDLED.glob("*.jsonl")}
    assert found
    assert [name for name in sorted(found) if f"`{name}`" not in text] == []
