"""The bridge as a container runs it: signals, exit codes, the command line."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus

from tests.bridge.peers import LIMIT_SECONDS, closed_with, echo, sagemaker, vllm


class Process:
    """A running bridge: its log lines as events, its URL, its exit code."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""

    async def line_with(self, text: str) -> str:
        assert self.process.stderr is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            while line := (await self.process.stderr.readline()).decode():
                self.lines.append(line)
                if text in line:
                    return line
        raise AssertionError(f"no line with {text!r} in:\n{''.join(self.lines)}")

    async def exit_code(self) -> int:
        async with asyncio.timeout(LIMIT_SECONDS):
            _, rest = await self.process.communicate()
        self.lines.append(rest.decode())
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def bridge_process(
    *, limit_of_open_files: int | None = None, **variables: str
) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "sagemaker_bidi_bridge", "serve"]
    if limit_of_open_files is not None:
        command = ["sh", "-c", f'ulimit -n {limit_of_open_files}; exec "$@"', "sh", *command]
    environ = {name: value for name, value in os.environ.items() if "BRIDGE_" not in name}
    environ |= {"BRIDGE_HOST": "127.0.0.1", "BRIDGE_PORT": "0", "BRIDGE_OPEN_TIMEOUT_MS": "5000"}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environ | variables,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def serving(backend_url: str, **variables: Any) -> AsyncIterator[Process]:
    async with bridge_process(BRIDGE_BACKEND_URL=backend_url, **variables) as bridge:
        match = re.search(r"url\W+(ws://[^\s\"]+)", await bridge.line_with("listening"))
        assert match is not None
        bridge.url = match[1]
        yield bridge


class TestDefect8NoGracefulStop:
    async def test_sigterm_lets_an_open_session_finish_and_refuses_new_ones(self) -> None:
        async def count_down(connection: ServerConnection) -> None:
            async for message in connection:
                if message == "last":
                    await connection.close(1000, "finished")
                else:
                    await connection.send(message)

        async with (
            vllm(count_down) as url,
            serving(url) as bridge,
            sagemaker(bridge.url) as client,
            httpx.AsyncClient() as http,
        ):
            bridge.process.send_signal(signal.SIGTERM)
            await bridge.line_with("draining sessions=1")

            ping = await http.get(bridge.url.replace("ws", "http") + "/ping")
            assert (ping.status_code, ping.json()["status"]) == (503, "draining")
            with pytest.raises(InvalidStatus) as refused:
                async with sagemaker(bridge.url):
                    pass
            assert refused.value.response.status_code == 503

            await client.send("still here")
            assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS) == "still here"
            await client.send("last")
            close = await closed_with(client)
            assert close is not None
            assert (close.code, close.reason) == (1000, "finished")
            assert await bridge.exit_code() == 0

    async def test_a_session_that_outlives_the_drain_is_closed_with_1001_and_a_reason(
        self,
    ) -> None:
        vllm_saw: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

        async def endless(connection: ServerConnection) -> None:
            await connection.wait_closed()
            vllm_saw.set_result(connection.close_code)

        async with (
            vllm(endless) as url,
            serving(url, BRIDGE_DRAIN_SECONDS="0.2") as bridge,
            sagemaker(bridge.url) as client,
        ):
            bridge.process.send_signal(signal.SIGTERM)
            close = await closed_with(client)
            assert close is not None
            assert (close.code, close.reason) == (
                1001,
                "the bridge is stopping: drained for 0.2 s",
            )
            assert await asyncio.wait_for(vllm_saw, LIMIT_SECONDS) == 1001
            assert await bridge.exit_code() == 0
            assert "Traceback" not in "".join(bridge.lines)

    @pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
    async def test_a_second_signal_ends_at_once(self, second: signal.Signals) -> None:
        # The drain is beyond the limit of the test: waiting it out would fail.
        async with (
            vllm(echo) as url,
            serving(url, BRIDGE_DRAIN_SECONDS="600") as bridge,
            sagemaker(bridge.url) as client,
        ):
            bridge.process.send_signal(signal.SIGTERM)
            await bridge.line_with("draining")
            bridge.process.send_signal(second)
            close = await closed_with(client)
            assert close is not None
            assert (close.code, "at once" in close.reason) == (1001, True)
            assert await bridge.exit_code() == 0

    async def test_sigterm_without_sessions_stops_at_once_with_0(self) -> None:
        async with serving("ws://127.0.0.1:9/", BRIDGE_DRAIN_SECONDS="600") as bridge:
            bridge.process.send_signal(signal.SIGTERM)
            assert await bridge.exit_code() == 0


class TestCommandLine:
    async def test_a_wrong_variable_is_named_and_the_exit_code_is_2(self) -> None:
        async with bridge_process(BRIDGE_PORT="eighty", BRIDGE_PROT="80") as bridge:
            assert await bridge.exit_code() == 2
        assert "BRIDGE_PORT='eighty' is wrong: expected a whole number" in bridge.lines[0]
        assert "BRIDGE_PROT is not a variable" in bridge.lines[0]

    async def test_an_unknown_variable_is_a_warning_and_the_bridge_runs(self) -> None:
        async with bridge_process(BRIDGE_DRAIN="1") as bridge:
            assert "level=WARNING" in await bridge.line_with("the closest is BRIDGE_DRAIN_SECONDS")
            await bridge.line_with("listening")

    async def test_a_taken_port_is_named_and_the_exit_code_is_1(self) -> None:
        async with serving("ws://127.0.0.1:9/") as first:
            port = first.url.rsplit(":", 1)[1]
            async with bridge_process(BRIDGE_PORT=port) as second:
                assert await second.exit_code() == 1
        assert f"port {port}" in second.lines[0]
        assert "Traceback" not in second.lines[0]

    async def test_help_prints_each_variable_with_its_default(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sagemaker_bidi_bridge", "--help"),
            stdout=asyncio.subprocess.PIPE,
        )
        text, _ = await asyncio.wait_for(process.communicate(), LIMIT_SECONDS)
        assert process.returncode == 0
        assert b"BRIDGE_PORT  (default: 8080)" in text
