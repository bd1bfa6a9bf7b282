"""The container's first process with real children: signals, codes, and nothing left behind."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bridge.test_reference_defects import unused_port

# The supervisor runs in the image, and its tests look at processes in /proc.
pytestmark = pytest.mark.linux

LIMIT_SECONDS = 20  # a bound for tests that would otherwise hang, never a wait

# Each child says its pid when it is ready, and does what its name says.
SLEEP = "say(); signal.pause()"
IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN); say(); signal.pause(); signal.pause()"
EXIT_7 = "say(); sys.exit(7)"
LEAVE_A_CHILD = """
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
say(); signal.pause()
"""
ON_TERM_EXIT_0 = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); say(); signal.pause()"

_CHILD = """
import os, signal, subprocess, sys
def say(): os.write(1, f"{sys.argv[1]} {os.getpid()}\\n".encode())  # in one write
"""
_PARENT = """
import json, sys
from sagemaker_bidi_bridge.supervise import supervise
from sagemaker_bidi_bridge.supervision import Limits, Supervision
commands, limits = json.loads(sys.argv[1]), json.loads(sys.argv[2])
commands = {name: tuple(command) for name, command in commands.items()}
sys.exit(supervise(commands, Supervision(Limits(**limits))))
"""


class Family:
    """A supervisor and the children that have said their pids."""

    def __init__(self, process: subprocess.Popen[bytes], said: int) -> None:
        self.process = process
        self.pids: dict[str, int] = {}
        self._said = said
        self._text = ""

    def wait_for_children(self, *names: str) -> None:
        while not set(names) <= self.pids.keys():
            ready, _, _ = select.select([self._said], [], [], LIMIT_SECONDS)
            assert ready, f"expected {names}, heard of {self.pids}"
            self._text += os.read(self._said, 1_024).decode()
            *lines, self._text = self._text.split("\n")
            self.pids |= {name: int(pid) for name, pid in (line.split() for line in lines)}

    def ended(self) -> int:
        return self.process.wait(LIMIT_SECONDS)


@contextmanager
def supervised(*, bridge: str, vllm: str, **limits: float) -> Iterator[Family]:
    commands = {
        name: [sys.executable, "-c", _CHILD + code, name]
        for name, code in {"bridge": bridge, "vllm": vllm}.items()
    }
    said, say = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT, json.dumps(commands), json.dumps(limits)],
        stdout=say,
        cwd=Path(__file__).parents[2],
    )
    os.close(say)
    try:
        yield Family(process, said)
    finally:
        left = children(process.pid) if process.poll() is None else []
        process.kill()
        process.wait()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        os.close(said)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.mark.parametrize(("dies", "code"), [("vllm", 137), ("bridge", 137)])
def test_a_process_that_is_killed_ends_the_container_with_its_code(dies: str, code: int) -> None:
    with supervised(bridge=SLEEP, vllm=SLEEP) as family:
        family.wait_for_children("bridge", "vllm")
        os.kill(family.pids[dies], signal.SIGKILL)
        assert family.ended() == code
        assert not any(map(alive, family.pids.values()))


def test_an_exit_code_of_its_own_becomes_the_containers() -> None:
    with supervised(bridge=SLEEP, vllm=EXIT_7) as family:
        assert family.ended() == 7


def test_sigterm_ends_the_bridge_then_vllm_and_the_code_is_0() -> None:
    with supervised(bridge=ON_TERM_EXIT_0, vllm=SLEEP) as family:
        family.wait_for_children("bridge", "vllm")
        family.process.terminate()
        assert family.ended() == 0
        assert not any(map(alive, family.pids.values()))


def test_what_does_not_listen_to_sigterm_is_killed_at_the_limit() -> None:
    with supervised(bridge=ON_TERM_EXIT_0, vllm=IGNORE, stop=0.5) as family:
        family.wait_for_children("bridge", "vllm")
        started = time.monotonic()
        family.process.terminate()
        assert family.ended() == 0
        assert time.monotonic() - started >= 0.5
        assert not alive(family.pids["vllm"])


def test_the_children_of_a_killed_vllm_do_not_outlive_the_container() -> None:
    with supervised(bridge=SLEEP, vllm=LEAVE_A_CHILD) as family:
        family.wait_for_children("bridge", "vllm")
        (engine,) = children(family.pids["vllm"])
        os.kill(family.pids["vllm"], signal.SIGKILL)
        assert family.ended() == 137
        assert not alive(engine)


def test_a_program_that_is_not_there_is_named() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "sagemaker_bidi_bridge.supervise", "serve"],
        env={"SM_VLLM_MODEL": "tiny", "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=LIMIT_SECONDS,
    )
    assert found.returncode == 127
    assert "there is no vllm on PATH: the image has no vLLM" in found.stderr


@pytest.mark.parametrize(
    ("variables", "limit"),
    [
        ({"SM_VLLM_MAX_NUM_SEQS": "4"}, "4"),
        ({"SM_VLLM_MAX_NUM_SEQS": "4", "BRIDGE_MAX_SESSIONS": "2"}, "2"),
        ({}, "none"),
    ],
)
def test_the_bridge_takes_as_many_sessions_as_vllm_computes_at_once(
    variables: dict[str, str], limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRIDGE_MAX_SESSIONS", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told = 'sys.argv[1] = os.environ.get("BRIDGE_MAX_SESSIONS", "none"); say(); signal.pause()'
    with supervised(bridge=told, vllm=SLEEP) as family:
        family.wait_for_children(limit, "vllm")


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({"SM_VLLM_API_KEY": "sesame"}, "sesame"),
        ({"SM_VLLM_API_KEY": "sesame", "BRIDGE_BACKEND_API_KEY": "other"}, "other"),
        ({"SM_VLLM_API_KEY": "vllm-default"}, "none"),
    ],
)
def test_the_bridge_is_given_the_key_that_vllm_is_started_with(
    variables: dict[str, str], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRIDGE_BACKEND_API_KEY", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told = 'sys.argv[1] = os.environ.get("BRIDGE_BACKEND_API_KEY", "none"); say(); signal.pause()'
    with supervised(bridge=told, vllm=SLEEP) as family:
        family.wait_for_children(key, "vllm")


LISTEN = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
import socket
listener = socket.create_server(("127.0.0.1", int(os.environ["BRIDGE_PORT"])))
say()
while True:
    with listener.accept()[0] as asked:
        asked.recv(100)
        asked.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
"""


@pytest.fixture
def bridge_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_PORT", str(unused_port()))
    monkeypatch.setenv("BRIDGE_HOST", "127.0.0.1")


@pytest.mark.usefixtures("bridge_port")
@pytest.mark.parametrize("told", [True, False])
def test_a_bridge_that_is_stopped_ends_the_container_and_sigterm_is_then_quick(told: bool) -> None:
    # The questions come seldom, but not after SIGTERM; `stop` is beyond the limit of the test.
    ask = 600.0 if told else 0.1
    with supervised(bridge=LISTEN, vllm=SLEEP, ask=ask, answer=0.2, stop=600.0) as family:
        family.wait_for_children("bridge", "vllm")
        os.kill(family.pids["bridge"], signal.SIGSTOP)
        if told:
            family.process.terminate()
        assert family.ended() == 137
        assert not any(map(alive, family.pids.values()))


@pytest.mark.usefixtures("bridge_port")
def test_a_bridge_that_answers_is_left_alone() -> None:
    answered_thrice = LISTEN.replace("while True:", "for _ in range(3):") + "\nsys.exit(7)"
    with supervised(bridge=answered_thrice, vllm=SLEEP, ask=0.05, answer=10.0) as family:
        assert family.ended() == 7
