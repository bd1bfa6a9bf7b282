"""How a container is reached: from this machine, and from its neighbours on a Docker network."""

from __future__ import annotations

import time
from typing import Any, Self
from urllib.parse import unquote

from docker.errors import APIError, ImageNotFound  # type: ignore[import-untyped]
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy
from testcontainers.core.waiting_utils import WaitStrategy, WaitStrategyTarget

from sagemaker_bidi.shown import plain

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


class ImageMissing(RuntimeError):
    """An image that is wanted is not here, and cannot be pulled; says what to do."""


class StartedByUs(DockerContainer):
    """A container whose image may have to be built first."""

    def start(self) -> Self:
        """Start it.

        Raises:
            ImageMissing: the image is not here, or that of testcontainers' own reaper is not.
        """
        try:
            return super().start()
        except ImageNotFound as error:
            raise ImageMissing(_how_to_get(self.image, str(error))) from error
        except APIError as error:
            # A registry that cannot be reached, or one that does not know the image.
            if not any(word in str(error) for word in ("pull", "registry", "lookup")):
                raise
            raise ImageMissing(_how_to_get(self.image, str(error))) from error


def _how_to_get(image: str, said: str) -> str:
    reaper = testcontainers_config.ryuk_image
    # The address that failed has it in its query.
    if reaper.partition(":")[0] in unquote(said):
        return (
            f"testcontainers removes what a test leaves behind with the image {reaper}, which is "
            "not here and cannot be pulled: set TESTCONTAINERS_RYUK_DISABLED=true to go without "
            f"it, or pull it where there is a network ({said})"
        )
    target = image.rpartition("/")[2].partition(":")[0]
    how = f"build it, or `docker pull {image}` where there is a network"
    if target in ("emulator", "bridge", "voxtral"):
        command = f"docker build --target {target} --tag {image} ."
        how = f"build it in a checkout of sagemaker-bidi: `{command}`"
    return f"there is no image {image} here: {how} ({said})"


class Says(WaitStrategy):
    """Waits until the log says something, and not for a container that has ended.

    Args:
        text: what the log has to hold.
        seconds: how long it may take.
    """

    def __init__(self, text: str, seconds: int) -> None:
        super().__init__()
        self._text = text
        self.with_startup_timeout(seconds).with_poll_interval(0.2)

    def wait_until_ready(self, container: WaitStrategyTarget) -> None:
        """Wait.

        Raises:
            TimeoutError: it took longer; has the tail of the log.
            ContainerEnded: it ended first; has the tail of its log.
        """
        wrapped = container.get_wrapped_container()
        until = time.monotonic() + self._startup_timeout
        while self._text not in wrapped.logs().decode(errors="replace"):
            check_running(wrapped, f"its log said {self._text!r}")
            if time.monotonic() > until:
                raise TimeoutError(
                    f"the container's log has not said {self._text!r} within "
                    f"{self._startup_timeout:g} s; its end:\n{tail_of(wrapped)}"
                )
            time.sleep(self._poll_interval)


def tail_of(wrapped: Any, lines: int = _TAIL_LINES) -> str:
    """The last lines of a container's log, fit to be shown."""
    said = wrapped.logs(tail=lines).decode(errors="replace")
    return "\n".join(plain(line) for line in said.splitlines())


def check_running(wrapped: Any, awaited: str) -> None:
    """Check that a container has not ended.

    Args:
        wrapped: Docker's own object for it.
        awaited: what it is waited for, in the past tense.

    Raises:
        ContainerEnded: it has.
    """
    wrapped.reload()
    if wrapped.status in ("exited", "dead"):
        state = wrapped.attrs["State"]
        memory = ": out of memory (OOMKilled)" if state.get("OOMKilled") else ""
        raise ContainerEnded(
            f"the container ended with {state['ExitCode']}{memory} before {awaited}; the end of "
            f"its log:\n{tail_of(wrapped)}"
        )


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
        check_running(self._target.get_wrapped_container(), f"{url} answered 200")
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
