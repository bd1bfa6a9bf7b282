"""The container checks on this project's bridge: none of them fails."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sagemaker_bidi_bridge import BridgeServer, Settings
from sagemaker_bidi_contract.container.run import container_checks
from sagemaker_bidi_contract.options import BackendAddress
from sagemaker_bidi_contract.verdicts import Verdict
from sagemaker_bidi_fixtures.speech import recording
from sagemaker_bidi_fixtures.vllm import StandInVLLM, Version
from tests.bridge.peers import settings_for
from tests.contract_tests.running import check, check_bridge, told, unused_port

ROOT = Path(__file__).parents[2]


def our_bridge(backend_url: str) -> BridgeServer:
    return BridgeServer(settings_for(backend_url))


@asynccontextmanager
async def bridge_process(backend_url: str) -> AsyncIterator[tuple[str, int]]:
    """The bridge as a process of its own, since SIGTERM ends it; gives its URL and process id."""
    port = unused_port()
    environment = {
        **os.environ,
        "BRIDGE_BACKEND_URL": backend_url,
        "BRIDGE_HOST": "127.0.0.1",
        "BRIDGE_PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sagemaker_bidi_bridge",
        cwd=ROOT,
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            while b"listening" not in await process.stderr.readline():
                pass
        yield f"ws://127.0.0.1:{port}", process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


# What it shows is the bridge's own limit; in all other checks this machine gets more time.
LIMITED = "bridge.silent-backend"


async def test_with_a_scripted_backend_every_check_is_ok() -> None:
    others = [check.id for check in container_checks() if check.id != LIMITED]
    report = await check_bridge(our_bridge, *others)
    assert not told(report, Verdict.FAILED, Verdict.NON_STRICT)
    assert report.defects == ()
    assert report.exit_status == 0
    made = {item.check for item in report.findings if item.verdict is not Verdict.SKIPPED}
    needed = {"fake-backend", "echo"}
    able = {check.id for check in container_checks() if set(check.requires) <= needed}
    assert made == able - {LIMITED}


@pytest.mark.clause("O3")
async def test_as_it_comes_it_refuses_in_time_when_the_backend_never_accepts() -> None:
    report = await check_bridge(
        lambda url: BridgeServer(Settings(backend_url=url, host="127.0.0.1", port=0)), LIMITED
    )
    assert [item.verdict for item in report.findings] == [Verdict.OK], report.findings


@pytest.mark.clause("F6")
@pytest.mark.parametrize("version", ["0.17.1", "current"])
async def test_with_a_stand_in_of_vllm_the_realtime_checks_pass(version: Version) -> None:
    async with (
        StandInVLLM(port=0, version=version) as vllm,
        our_bridge(f"{vllm.url}/v1/realtime") as bridge,
    ):
        report = await check(bridge.url, model_protocol="vllm-realtime")
    assert not told(report, Verdict.FAILED, Verdict.NON_STRICT)
    realtime = [item for item in report.findings if item.check.startswith("realtime.")]
    assert len(realtime) == 12
    assert not [item for item in realtime if item.verdict is Verdict.SKIPPED]


async def test_speech_is_transcribed_and_stays_out_of_the_report() -> None:
    fox = recording("quick-brown-fox")
    async with StandInVLLM(port=0) as vllm, our_bridge(f"{vllm.url}/v1/realtime") as bridge:
        report = await check(
            bridge.url, "realtime.utterance", model_protocol="vllm-realtime", audio=fox.path
        )
    (finding,) = report.findings
    assert finding.verdict is Verdict.OK
    assert not any("fox" in line.text for line in finding.exchange)
    assert any(line.text.startswith("text (") for line in finding.exchange)


async def test_sigterm_lets_a_session_finish() -> None:
    port = unused_port()
    async with bridge_process(f"ws://127.0.0.1:{port}/v1/realtime") as (url, pid):
        report = await check(
            url,
            "container.sigterm",
            pid=pid,
            fake_backend=BackendAddress("127.0.0.1", port),
        )
    (finding,) = report.findings
    assert finding.verdict is Verdict.OK, finding.summary
    assert any("exit" in line.text for line in finding.exchange)


async def test_a_model_server_that_is_stopped_by_a_command_is_noticed() -> None:
    async with StandInVLLM(port=0) as vllm, our_bridge(f"{vllm.url}/v1/realtime") as bridge:

        async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await (vllm.stop if await reader.readline() == b"down\n" else vllm.start)()
            writer.close()

        async with await asyncio.start_server(control, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            report = await check(
                bridge.url,
                "bridge.commands",
                backend_down=tell(port, "down"),
                backend_up=tell(port, "up"),
            )
    (finding,) = report.findings
    assert finding.verdict is Verdict.OK, finding.summary
    assert "upgrade: HTTP 503" in finding.summary
    assert "the open session: Close 1012" in finding.summary


async def test_a_command_that_fails_is_named_with_its_status() -> None:
    async with StandInVLLM(port=0) as vllm, our_bridge(f"{vllm.url}/v1/realtime") as bridge:
        report = await check(
            bridge.url, "bridge.commands", backend_down="exit 3", backend_up="true"
        )
    (finding,) = report.findings
    assert finding.verdict is Verdict.FAILED
    assert "the command 'exit 3' ended with status 3" in finding.summary


def tell(port: int, word: str) -> str:
    """A shell command that has the test stop or start the model server, and waits for it."""
    program = (
        f"import socket; peer = socket.create_connection(('127.0.0.1', {port})); "
        f"peer.sendall(b'{word}\\n'); peer.recv(1)"
    )
    return f'{sys.executable} -c "{program}"'
