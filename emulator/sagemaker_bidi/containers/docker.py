"""The `docker` command: run, and its errors in words that say what to do."""

from __future__ import annotations

import asyncio
import re
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from typing import IO

PROGRAM = "docker"
_NO_SUCH = re.compile(r"[Nn]o such (?:container|object): (\S+)")
_HERE = re.compile(r"(localhost|127(\.\d+){3}|\[?::1\]?)?(:\d+)?")


class DockerError(RuntimeError):
    """Docker cannot do what it was asked; says what is wrong and what to do."""


class NoSuchContainer(DockerError):
    """There is no container of that name, or none any more."""


async def docker(*arguments: str, seconds: float = 60.0, given: str = "") -> str:
    """Run the docker command to its end; gives what it printed.

    Args:
        arguments: without the program.
        seconds: how long it may take.
        given: its standard input.

    Raises:
        DockerError: there is no docker command, no daemon, or the command failed.
    """
    # A file, because a command can open /dev/stdin anew where it is one, and not where it is a
    # socket, which some event loops make of a pipe.
    with tempfile.TemporaryFile() as stdin:
        stdin.write(given.encode(errors="surrogateescape"))
        stdin.seek(0)
        process = await start_docker(*arguments, stdin=stdin)
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError:
        raise DockerError(
            f"`docker {arguments[0]}` did not end within {seconds:g} s: is the daemon stuck? "
            "`docker info` must answer"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = err.decode(errors="replace")
        kind = NoSuchContainer if _NO_SUCH.search(said) else DockerError
        raise kind(explain(said, arguments))
    return out.decode(errors="replace").strip()


async def require_daemon_here(endpoint: str) -> None:
    """Check that the daemon runs containers on this machine, where their ports can be reached.

    Args:
        endpoint: whose container is about to run.

    Raises:
        DockerError: it is on another machine, or there is none.
    """
    place = await docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    scheme, _, rest = place.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    if scheme in ("unix", "npipe", "fd") or (scheme != "ssh" and _HERE.fullmatch(host)):
        return
    machine = re.sub(r":\d+$", "", host)
    raise DockerError(
        f"the Docker daemon is on another machine ({place}), and a container's port would be open "
        f"there: run the container there with `docker run --publish 8080:8080 …` and give "
        f"--endpoint {endpoint}=ws://{machine}:8080, or use the daemon of this machine "
        "(`docker context use default`, without DOCKER_HOST)"
    )


async def start_docker(
    *arguments: str, stdin: int | IO[bytes] = DEVNULL
) -> asyncio.subprocess.Process:
    """Start the docker command with pipes on its output.

    It is in a session of its own: Ctrl-C is for us, who then stop the container in order.

    Raises:
        DockerError: there is no docker command.
    """
    try:
        return await asyncio.create_subprocess_exec(
            PROGRAM,
            *arguments,
            stdin=stdin,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise DockerError(
            "there is no `docker` command on PATH: install Docker's command line, or run the "
            "container yourself and give --endpoint NAME=ws://HOST:PORT"
        ) from error


def explain(said: str, arguments: tuple[str, ...]) -> str:
    """What Docker's error means, and what to do.

    Args:
        said: its standard error.
        arguments: of the command that failed.
    """
    text = said.strip()
    if "Cannot connect to the Docker daemon" in text or "error during connect" in text:
        return f"no Docker daemon answers: start it, or set DOCKER_HOST ({_short(text)})"
    if "permission denied" in text and "docker" in text and "sock" in text:
        return "the Docker daemon may not be used by this user: join the group docker, or use sudo"
    if found := _NO_SUCH.search(text):
        return f"there is no container {found[1]}: has somebody removed it?"
    if found := re.search(r"[Nn]o such image: ([^\s:]+(?::\w[^\s:]*)?)", text):
        return f"there is no image {found[1]} here: build it, or `docker pull {found[1]}`"
    if found := re.search(r"Bind for (\S+) failed: port is already allocated", text):
        return f"port {found[1]} is taken by another container: stop it, or choose another port"
    if found := re.search(r"listen tcp4? (\S+): bind: address already in use", text):
        return f"port {found[1]} is taken by another process: stop it, or choose another port"
    if "could not select device driver" in text:
        return (
            "Docker sees no GPU: install NVIDIA's container toolkit, or leave the GPUs out "
            f"({_short(text)})"
        )
    return f"`docker {arguments[0]}` failed: {_short(text) or 'it does not say why'}"


def _short(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[0].removeprefix("Error response from daemon: ").strip() if lines else ""
