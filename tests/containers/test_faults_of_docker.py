"""A daemon that fails, goes away or is elsewhere, and what is said and done about it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi.containers import hosted
from sagemaker_bidi.containers.docker import DockerError
from sagemaker_bidi.containers.hosted import ContainerFailed, HostedContainer, ImageRun
from sagemaker_bidi.containers.inspection import listening
from tests.containers.fake_docker import LIMIT_SECONDS, FakeDocker, logged

BIDI = Path(sys.executable).with_name("bidi")
ELSEWHERE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0B00007F:A3E5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 3 1
   0: 00000000000000000000000000000000:2328 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0
"""


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDocker]:
    """A Docker for processes that are given its environment."""
    made = FakeDocker(tmp_path)
    yield made
    made.end()


@pytest.fixture
def docker(fake: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """In the place of Docker for this process."""
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    return fake


def container(**settings: Any) -> HostedContainer:
    return HostedContainer(ImageRun("image"), on_line=lambda line: None, **settings)


async def test_a_container_starts_though_docker_fails_to_list_it_at_first(
    docker: FakeDocker,
) -> None:
    docker.has("failing-ls", 3)
    async with asyncio.timeout(LIMIT_SECONDS), container() as it:
        assert it.starts == 1
    assert docker.calls[-1].startswith("rm --force")


async def test_a_docker_that_never_says_whether_it_runs_ends_the_start_with_its_reason(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted, "_DOCKER_PATIENCE", 0.2)
    docker.has("failing-ls", 10_000)
    with pytest.raises(DockerError, match="a hiccup"):
        async with asyncio.timeout(LIMIT_SECONDS), container():
            pytest.fail("it cannot have started")
    assert docker.calls[-1].startswith("rm --force")


@pytest.mark.clause("K4")
async def test_a_daemon_that_restarts_under_a_container_is_told_of_and_the_container_starts_again(
    docker: FakeDocker, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(LIMIT_SECONDS), container() as it:
        docker.has("no-daemon")
        said = await logged(caplog, "nobody looks after the container")
        assert f"{it.name} until Docker answers again: no Docker daemon answers" in said
        docker.has("state", "exited")
        docker.has_not("no-daemon")
        await logged(caplog, "Docker answers again")
        await it.started_again()


async def test_a_container_that_outlives_its_daemon_is_attended_to_again(
    docker: FakeDocker, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(LIMIT_SECONDS), container() as it:
        docker.has("no-daemon")
        await logged(caplog, "nobody looks after the container")
        docker.has_not("no-daemon")
        await logged(caplog, "Docker answers again")
        await docker.called("start", times=2)
        assert it.starts == 2
        assert "SageMaker starts it again" not in caplog.text


async def test_what_a_daemon_that_is_gone_leaves_behind_is_named_with_the_command_that_removes_it(
    docker: FakeDocker, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(LIMIT_SECONDS), container() as it:
        docker.has("no-daemon")
        await logged(caplog, "nobody looks after the container")
    said = await logged(caplog, "may still be there")
    command = said.partition("`")[2].partition("`")[0]
    assert command == f"docker rm --force --volumes {it.name}"
    docker.has_not("no-daemon")
    assert await (await asyncio.create_subprocess_exec(*command.split())).wait() == 0
    assert not (docker.home / "state").exists()


@pytest.mark.clause("K4")
async def test_a_container_that_was_never_healthy_has_no_session_to_finish_and_little_time(
    docker: FakeDocker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted, "_SHORT_STOP_SECONDS", 0.25)
    docker.has("deaf")
    async with asyncio.timeout(LIMIT_SECONDS), container():
        pass
    assert "s after SIGTERM: killed (K4)" in await logged(caplog, "still running")


@pytest.mark.clause("K4")
async def test_a_container_that_was_killed_for_its_memory_is_told_of_by_code_cause_and_starts(
    docker: FakeDocker, caplog: pytest.LogCaptureFixture
) -> None:
    docker.has("code", 137)
    docker.has("oom")
    async with asyncio.timeout(LIMIT_SECONDS), container(restarts=False) as it:
        docker.has("state", "exited")
        with pytest.raises(ContainerFailed, match=r"ended with 137: out of memory .*, start 1,"):
            await it.healthy()


@pytest.mark.parametrize(
    ("host", "machine"), [("ssh://me@gpu-box", "gpu-box"), ("tcp://10.0.0.5:2376", "10.0.0.5")]
)
async def test_a_daemon_on_another_machine_is_refused_at_once_with_what_to_do(
    host: str, machine: str, docker: FakeDocker
) -> None:
    docker.has("host", host)
    with pytest.raises(DockerError, match="is on another machine") as caught:
        async with container():
            pytest.fail("its port would be on the other machine")
    assert f"--endpoint voxtral=ws://{machine}:8080" in str(caught.value)
    assert not [call for call in docker.calls if call.startswith("create")]


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:2375", "tcp://localhost:2375", "npipe:////./p"])
async def test_a_daemon_that_this_machine_reaches_by_itself_is_taken(
    host: str, docker: FakeDocker
) -> None:
    docker.has("host", host)
    async with asyncio.timeout(LIMIT_SECONDS), container() as it:
        assert it.starts == 1


@pytest.mark.clause("O2")
async def test_a_container_that_listens_elsewhere_is_told_of_once_with_where(
    docker: FakeDocker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted, "_ADVICE_SECONDS", 0.0)
    monkeypatch.setattr(hosted, "_POLL_SECONDS", 0.02)
    docker.has("sockets", ELSEWHERE)
    async with asyncio.timeout(LIMIT_SECONDS), container() as it:
        said = await logged(caplog, "nothing listens on 0.0.0.0:8080")
        assert f"in the container {it.name}" in said
        assert said.endswith("it listens on 127.0.0.1:8080, [::]:9000")
    assert len([call for call in docker.calls if call.startswith("exec")]) == 1


def test_the_sockets_that_listen_are_read_without_dockers_name_server() -> None:
    assert list(listening(ELSEWHERE)) == ["127.0.0.1:8080", "[::]:9000"]


@pytest.mark.parametrize("step", ["create", "start"])
def test_ctrl_c_is_heard_while_docker_is_slow_to_start_a_container(
    step: str, fake: FakeDocker
) -> None:
    fake.has(f"{step}-hangs")
    with serve(fake) as process:
        asyncio.run(fake.called(step))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, output
    assert "SIGINT: stopping before the containers run" in output
    assert fake.calls[-1].startswith("rm --force")


def test_a_second_ctrl_c_waits_for_docker_no_longer_and_names_what_it_leaves(
    fake: FakeDocker,
) -> None:
    fake.has("start-hangs")
    fake.has("rm-hangs")
    with serve(fake) as process:
        asyncio.run(fake.called("start"))
        process.send_signal(signal.SIGINT)
        removal = asyncio.run(fake.called("rm"))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert f"`docker {removal}` removes it" in output


def serve(fake: FakeDocker) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [BIDI, "serve", "--image", "image", "--port", "0"],
        env={**os.environ, **fake.environment, "BIDI_STATE_DIR": str(fake.home / "bidi")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bidi.hosting")
