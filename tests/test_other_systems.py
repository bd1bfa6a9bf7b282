"""Nothing that only Linux has is needed to import a module or to run a session.

A process in which all of that is missing stands for macOS. The libraries are those of this system.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sagemaker_bidi_bridge.supervise
from sagemaker_bidi_fixtures.engine.environment import EngineUnavailable, install

LIMIT_SECONDS = 60  # a bound for a test that would otherwise hang, never a wait

WITHOUT_LINUX = """
import os, select, signal, socket, sys
for module, names in {
    os: "pidfd_open waitid eventfd memfd_create splice sched_getaffinity timerfd_create "
        "posix_fadvise getrandom setns unshare",
    select: "epoll",
    signal: "pidfd_send_signal sigtimedwait sigwaitinfo SIGRTMIN SIGRTMAX SIGPWR SIGPOLL "
            "SIGSTKFLT",
    socket: "TCP_QUICKACK TCP_USER_TIMEOUT TCP_KEEPIDLE TCP_INFO TCP_CORK AF_NETLINK AF_PACKET "
            "AF_VSOCK SO_INCOMING_CPU",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
# Python 3.13's own counts processors by what is gone now, and other systems' does not.
os.process_cpu_count = os.cpu_count
import ctypes
ctypes.CDLL = None
"""

IMPORT_ALL = """
import importlib, pkgutil
count = 0
for package in ("sagemaker_bidi", "sagemaker_bidi_bridge", "sagemaker_bidi_client",
                "sagemaker_bidi_contract", "sagemaker_bidi_fixtures"):
    root = importlib.import_module(package)
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        # The first runs inside the engine's own Python; the others run when they are imported.
        if found.name.endswith((".engine.front_end", ".__main__")):
            continue
        importlib.import_module(found.name)
        count += 1
print(count)
"""

ONE_SESSION = """
import asyncio
from pathlib import Path
from sagemaker_bidi import Emulator
from sagemaker_bidi_client import open_stream
from sagemaker_bidi_fixtures.containers.echo import EchoContainer

async def main():
    async with EchoContainer(port=0) as box:
        async with Emulator({"echo": box.url}, state=Path(sys.argv[1])) as emulator:
            os.environ.update(emulator.trust())
            async with open_stream("echo") as stream:
                await stream.send_text("hello")
                print((await stream.receive()).data)
asyncio.run(main())
"""


def python(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LINUX + program, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_can_be_imported() -> None:
    assert int(python(IMPORT_ALL)) > 200


def test_a_session_runs(tmp_path: Path) -> None:
    assert "hello" in python(ONE_SESSION, str(tmp_path))


def test_the_supervisor_says_that_it_is_for_the_image(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr("signal.sigtimedwait")

    assert sagemaker_bidi_bridge.supervise.main([]) == 127
    assert "runs in the image, on Linux" in capsys.readouterr().err


def test_the_engine_says_that_it_needs_linux(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")

    with pytest.raises(EngineUnavailable, match="need Linux"):
        install(tmp_path)
