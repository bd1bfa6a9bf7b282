"""A `docker` on PATH that fails on request; each test says which state its daemon is in."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from sagemaker_bidi.containers.image import LABEL

LIMIT_SECONDS = 30  # a bound for tests that would otherwise hang, never a wait

_PROGRAM = f'''#!{sys.executable} -IS
import json, os, pathlib, sys, time

home = pathlib.Path(os.environ["FAKE_DOCKER"])
arguments = sys.argv[1:]
state = home / "state"


def there(name):
    return (home / name).exists()


def told(name, otherwise):
    return (home / name).read_text() if there(name) else otherwise


def change(to):
    making = home / f"state.{{os.getpid()}}"
    making.write_text(to)
    making.rename(state)


with (home / "calls").open("a") as calls:
    calls.write(" ".join(arguments) + "\\n")
if there("no-daemon"):
    sys.exit("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")
match arguments:
    case ["context", *_]:
        print(told("host", "unix:///var/run/docker.sock"))
    case ["image", *_]:
        print(json.dumps([{{"Id": "sha256:1", "Config": {{"Labels": {{"{LABEL}": "true"}}}}}}]))
    case ["create", *_]:
        change("created")
        while there("create-hangs"):
            time.sleep(0.02)
    case ["container", "ls", *_]:
        if (left := int(told("failing-ls", "0"))):
            (home / "failing-ls").write_text(str(left - 1))
            sys.exit("Error response from daemon: a hiccup")
        print(told("state", ""))
    case ["start", *_]:
        while there("start-hangs"):
            time.sleep(0.02)
        change("running")
        print("here I am", flush=True)
        while told("state", "") == "running" and not there("no-daemon"):
            time.sleep(0.02)
        sys.exit(int(told("code", "0")))
    case ["kill", "--signal", signal, _]:
        if signal == "KILL" or not there("deaf"):
            change("exited")
    case ["inspect", "--format", asked, _]:
        print(("true " if there("oom") else "false ") * ("OOM" in asked) + told("code", "0"))
    case ["exec", *_]:
        print(told("sockets", ""))
    case ["rm", *_]:
        while there("rm-hangs"):
            time.sleep(0.02)
        state.unlink(missing_ok=True)
'''


class FakeDocker:
    """The daemon's state: a file for each thing that is so.

    Args:
        home: a folder of its own.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "bin").mkdir()
        program = home / "bin" / "docker"
        program.write_text(_PROGRAM)
        program.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """What puts it in Docker's place."""
        path = f"{self.home / 'bin'}:{os.environ['PATH']}"
        return {"PATH": path, "FAKE_DOCKER": str(self.home)}

    def has(self, name: str, text: object = "") -> None:
        """From now on it is so."""
        making = self.home / f"{name}.new"
        making.write_text(str(text))
        making.rename(self.home / name)

    def has_not(self, name: str) -> None:
        """It is so no more."""
        (self.home / name).unlink(missing_ok=True)

    def end(self) -> None:
        """Let what hangs go on, and end what runs: nothing outlives the test."""
        self.has("no-daemon")
        for hanging in self.home.glob("*-hangs"):
            hanging.unlink()

    @property
    def calls(self) -> list[str]:
        """The command lines so far, without the program."""
        calls = self.home / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    async def called(self, beginning: str, times: int = 1) -> str:
        """Wait until it has been called so; gives the last of those calls."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                found = [call for call in self.calls if call.startswith(beginning)]
                if len(found) >= times:
                    return found[-1]
                await asyncio.sleep(0.01)


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> str:
    """Wait until the log says it."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            for record in caplog.records:
                if text in record.getMessage():
                    return record.getMessage()
            await asyncio.sleep(0.01)
