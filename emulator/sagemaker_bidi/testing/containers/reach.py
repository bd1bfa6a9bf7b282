"""How a container is reached: from this machine, and from its neighbours on a Docker network."""

from __future__ import annotations

from typing import Any

from testcontainers.core.config import ConnectionMode
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy
from testcontainers.core.waiting_utils import WaitStrategyTarget

OWN_ADDRESS = "own-address"

_TAIL_LINES = 20


class NotOnANetwork(RuntimeError):
    """A container is wanted by a neighbour, and is on no network of its own; says what to do."""


class ContainerEnded(RuntimeError):
    """A container ended while it was waited for; has its exit code and the tail of its log."""


def mapped(container: DockerContainer, port: int) -> str:
    """`HOST:PORT` on this machine where a container's port is published."""
    host = container.get_container_host_ip()
    # Published on IPv4: where localhost is ::1 first, a client would try in vain.
    return f"{'127.0.0.1' if host == 'localhost' else host}:{container.get_exposed_port(port)}"


def neighbour(container: DockerContainer, port: int) -> str:
    """`HOST:PORT` for another container on the same network.

    Raises:
        NotOnANetwork: the container has neither a network nor an alias on one.
    """
    aliases = container._network_aliases
    if container._network is None or not aliases:
        raise NotOnANetwork(
            f"{type(container).__name__} cannot be reached by other containers: give it "
            f'.with_network(network).with_network_aliases("a-name")'
        )
    return f"{aliases[0]}:{port}"


class Healthy(HttpWaitStrategy):
    """Waits until a page answers 200, and not for a container that has ended.

    Args:
        port: of the container.
        path: of the page.
        seconds: how long it may take.
    """

    def __init__(self, port: int, path: str, seconds: int) -> None:
        super().__init__(port, path)
        self.for_status_code(200).with_startup_timeout(seconds).with_poll_interval(0.2)

    def wait_until_ready(self, container: WaitStrategyTarget) -> None:
        """Wait.

        Raises:
            TimeoutError: it took longer.
            ContainerEnded: it ended first; has the tail of its log.
        """
        self._target = container
        super().wait_until_ready(container)

    def _try_http_request(self, url: str, headers: dict[str, str], ssl_context: Any) -> bool:
        wrapped = self._target.get_wrapped_container()
        wrapped.reload()
        if wrapped.status in ("exited", "dead"):
            code = wrapped.attrs["State"]["ExitCode"]
            tail = wrapped.logs(tail=_TAIL_LINES).decode(errors="replace")
            raise ContainerEnded(
                f"the container ended with {code} before {url} answered 200; the end of its log:\n"
                f"{tail}"
            )
        return super()._try_http_request(url, headers, ssl_context)


def host_names(container: DockerContainer) -> list[str]:
    """What `mapped` may call the host, known before the container runs: for a certificate.

    From inside another container it is the gateway of the container's network, or the container's
    own address on it, which it alone knows when it starts: `OWN_ADDRESS`.
    """
    client = container.get_docker_client()
    mode = client.get_connection_mode()
    if mode is ConnectionMode.bridge_ip:
        return [OWN_ADDRESS]
    if mode is not ConnectionMode.gateway_ip:
        return [client.host()]
    network = "bridge" if container._network is None else container._network.name
    found = client.client.networks.get(network).attrs["IPAM"]["Config"]
    return [each["Gateway"] for each in found if "Gateway" in each]


def add_options(container: DockerContainer, **options: Any) -> None:
    """Add options of `docker run` (docker-py's names) to those that are set already."""
    container._kwargs = {**container._kwargs, **options}
