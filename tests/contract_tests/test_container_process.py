"""The process that `--pid` names: what is refused, and that no other is ever signalled."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagemaker_bidi_contract.container import process as module
from sagemaker_bidi_contract.container.process import ContainerProcess
from sagemaker_bidi_contract.options import Options, TargetError
from sagemaker_bidi_contract.verdicts import Verdict
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.contract_tests.running import check_one, unused_port
from tests.contract_tests.test_check_command import bidi, run_pytest

PATIENCE = 20.0  # seconds, for a machine that is busy
SOME_PID = 4_000_000  # over what Linux gives unless told otherwise; nothing is sent to it
UNUSABLE = [0, 1, -1, -os.getpid(), os.getpid(), os.getppid()]


class Signals:
    """Stands in for the system's calls, so that no test signals anything of the machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, int, int]] = []
        self.ended = False
        self.looked_for_twice = asyncio.Event()
        monkeypatch.setattr(os, "kill", lambda pid, number: self._send("pid", pid, number))
        monkeypatch.setattr(
            signal,
            "pidfd_send_signal",
            lambda descriptor, number: self._send("pidfd", descriptor, number),
        )

    def _send(self, by: str, where: int, number: int) -> None:
        self.sent.append((by, where, number))
        if len(self.sent) == 4:
            self.looked_for_twice.set()
        if self.ended:
            raise ProcessLookupError


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Signals:
    return Signals(monkeypatch)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this test's own that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("pid", UNUSABLE)
def test_a_number_that_is_no_containers_process_is_no_option(pid: int) -> None:
    with pytest.raises(TargetError, match=f"--pid {pid}: .*the container's process"):
        Options(pid=pid)


@pytest.mark.parametrize("pid", UNUSABLE)
def test_the_command_refuses_it_before_anything_is_signalled(pid: int, signals: Signals) -> None:
    done = bidi(f"ws://127.0.0.1:{unused_port()}", "--pid", str(pid))
    assert done.exit_code == 2
    assert f"error: --pid {pid}: " in done.output
    assert not signals.sent


async def test_the_plugin_refuses_it_before_any_test(tmp_path: Path) -> None:
    # Nothing listens there, so no check could get as far as a signal.
    target = f"ws://127.0.0.1:{unused_port()}"
    status, output = await run_pytest(tmp_path, "--bidi-target", target, "--bidi-pid", "0")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "--pid 0: give the container's process" in output


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ProcessLookupError(), "there is no such process"),
        (OverflowError("signed integer is greater than maximum"), "there is no such process"),
        (PermissionError(1, "Operation not permitted"), "it cannot be sent SIGTERM: Operation not"),
    ],
)
def test_a_process_that_cannot_be_signalled_is_told_before_any_check(
    error: Exception, says: str, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int) -> int:
        raise error

    monkeypatch.setattr(module, "_open", refuse)
    done = bidi(f"ws://127.0.0.1:{unused_port()}", "--pid", str(SOME_PID))
    assert done.exit_code == 2
    assert f"error: --pid {SOME_PID}: {says}" in done.output
    assert "FAILED" not in done.output
    assert not signals.sent


async def test_a_process_that_has_ended_when_its_turn_comes_is_a_failure_in_the_report(
    signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_open", lambda pid: None)
    async with EchoContainer(port=0) as container:
        entering = ContainerProcess.__enter__

        def enter(process: ContainerProcess) -> ContainerProcess:
            entered = entering(process)
            signals.ended = True
            return entered

        monkeypatch.setattr(ContainerProcess, "__enter__", enter)
        found = await check_one(container.url, "container.sigterm", pid=SOME_PID)
    assert found.verdict is Verdict.FAILED
    assert found.summary == f"process {SOME_PID} had ended before it was sent SIGTERM"
    assert "the process that listens" in found.advice


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has numbers alone")
class TestWithADescriptor:
    async def test_sigterm_and_the_end_are_those_of_the_process_not_of_its_number(
        self, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def by_number(pid: int, number: int) -> None:
            raise AssertionError("signalled by its number, which another may have by now")

        monkeypatch.setattr(os, "kill", by_number)
        with ContainerProcess(child.pid) as process:
            process.terminate()
            # Its parent has taken its status: the number is free again.
            assert await asyncio.to_thread(child.wait, PATIENCE) == -signal.SIGTERM
            async with asyncio.timeout(PATIENCE):
                await process.gone()
            with pytest.raises(ProcessLookupError):
                process.terminate()


class TestWithoutDescriptors:
    async def test_the_end_is_seen_by_the_number(
        self, signals: Signals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_POLL_SECONDS", 0)
        monkeypatch.delattr(os, "pidfd_open", raising=False)
        with ContainerProcess(SOME_PID) as process:
            process.terminate()
            gone = asyncio.create_task(process.gone())
            async with asyncio.timeout(PATIENCE):
                await signals.looked_for_twice.wait()
            assert not gone.done()
            signals.ended = True
            async with asyncio.timeout(PATIENCE):
                await gone
        assert signals.sent[:3] == [
            ("pid", SOME_PID, 0),
            ("pid", SOME_PID, signal.SIGTERM),
            ("pid", SOME_PID, 0),
        ]
