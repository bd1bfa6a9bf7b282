"""What Docker says of one container: its state, how it ended, what listens in it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from sagemaker_bidi.containers.docker import DockerError, docker

# State 0A is LISTEN.
_LISTENING = re.compile(r"^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A ", re.MULTILINE)


async def state_of(name: str) -> str:
    """As `docker ps` has it, such as `running` and `created`; empty once it is removed.

    Raises:
        DockerError: Docker does not say.
    """
    return await docker(
        *("container", "ls", "--all", "--format", "{{.State}}"),
        *("--filter", f"name=^/?{name}$"),
    )


async def ending_of(name: str, code: int) -> str:
    """How it ended, for people: the exit code, and whether it was killed for its memory.

    Args:
        name: of the container.
        code: its exit code, for where Docker says no more.
    """
    try:
        said = await docker("inspect", "--format", "{{.State.OOMKilled}} {{.State.ExitCode}}", name)
    except DockerError:
        return str(code)
    killed, _, told = said.partition(" ")
    return f"{told}: out of memory (OOMKilled)" if killed == "true" else told


async def misplaced(name: str, port: int) -> str | None:
    """Where a running container listens, if not on `port` of all its addresses (O2, K4).

    Returns:
        A sentence for people; None where it listens there, or has no `cat` to tell.
    """
    try:
        said = await docker("exec", name, "cat", "/proc/net/tcp", "/proc/net/tcp6", seconds=5.0)
    except DockerError:
        return None
    found = sorted(set(listening(said)))
    if f"0.0.0.0:{port}" in found or f"[::]:{port}" in found:
        return None
    return (
        f"nothing listens on 0.0.0.0:{port} in the container {name}, where SageMaker asks; it "
        f"listens on {', '.join(found) or 'nothing yet'}"
    )


def listening(table: str) -> Iterator[str]:
    """The addresses of listening sockets in what /proc/net/tcp and tcp6 hold, `HOST:PORT`.

    Docker's own name server, on 127.0.0.11, is no part of the container.
    """
    for host, port in _LISTENING.findall(table):
        # Words of 32 bits, each in the byte order of the machine, which is little-endian.
        words = [bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, len(host), 8)]
        address = ipaddress.ip_address(b"".join(words))
        shown = f"[{address}]" if address.version == 6 else str(address)
        if shown != "127.0.0.11":
            yield f"{shown}:{int(port, 16)}"
