"""What a user can tell the suite about a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

type ModelProtocol = Literal["vllm-realtime", "none"]
type Behind = Literal["echo", "never-pong", "closing", "refusing", "unknown"]

CONTAINER_PORT = 8080
ENDPOINT_PORT = 8443


class TargetError(ValueError):
    """A target or an option that cannot be used; says what is wrong and what is expected."""


@dataclass(frozen=True, slots=True)
class ContainerTarget:
    """A running container by its address (O2)."""

    host: str
    port: int = CONTAINER_PORT

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `ws://HOST[:PORT]` or `http://HOST[:PORT]`.

        Raises:
            TargetError: another scheme, no host, no port number, or a path.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "http"):
            raise TargetError(
                f"{url!r} is no container's address; write ws://HOST:PORT (SageMaker uses no TLS "
                "towards a container)"
            )
        if not parts.hostname:
            raise TargetError(f"{url!r} names no host; write ws://HOST:PORT")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise TargetError(
                f"{url!r} has a path; write ws://HOST:PORT alone (--path chooses another path than "
                "/invocations-bidirectional-stream)"
            )
        try:
            return cls(parts.hostname, parts.port or CONTAINER_PORT)
        except ValueError as error:
            raise TargetError(f"{url!r}: {error}") from error

    @property
    def address(self) -> str:
        """`HOST:PORT` as a Host header has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`ws://HOST:PORT`."""
        return f"ws://{self.address}"


@dataclass(frozen=True, slots=True)
class EndpointTarget:
    """Where an endpoint's streams are opened: the emulator, or SageMaker itself (W1)."""

    host: str
    port: int = ENDPOINT_PORT

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `https://HOST[:PORT]`.

        Raises:
            TargetError: another scheme, no host, no port number, or a path.
        """
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise TargetError(
                f"{url!r} is no endpoint's address; write https://HOST:{ENDPOINT_PORT} (SageMaker "
                "speaks HTTP/2 over TLS)"
            )
        if not parts.hostname:
            raise TargetError(f"{url!r} names no host; write https://HOST:{ENDPOINT_PORT}")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise TargetError(
                f"{url!r} has a path; write https://HOST:{ENDPOINT_PORT} alone (--endpoint-name "
                "says which endpoint)"
            )
        try:
            return cls(parts.hostname, parts.port or ENDPOINT_PORT)
        except ValueError as error:
            raise TargetError(f"{url!r}: {error}") from error

    @property
    def address(self) -> str:
        """`HOST:PORT`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`https://HOST:PORT`."""
        return f"https://{self.address}"

    @property
    def is_aws(self) -> bool:
        """Whether it is AWS's own: what it does is what the contract is about."""
        return self.host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def is_endpoint(url: str) -> bool:
    """Whether a target is an endpoint, and not a container."""
    return url.lower().startswith("https:")


@dataclass(frozen=True, slots=True)
class BackendAddress:
    """Where the suite's own stand-in for the model server listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `PORT` or `HOST:PORT`.

        Raises:
            TargetError: no port number in it.
        """
        host, _, port = text.rpartition(":")
        if not port.isdecimal() or not 0 <= int(port) <= 65_535:
            raise TargetError(f"--fake-backend {text}: write PORT or HOST:PORT")
        return cls(host or "127.0.0.1", int(port))


@dataclass(frozen=True, slots=True)
class Options:
    """What the user allows and knows.

    Args:
        strict: NON-STRICT counts as a failure.
        clauses: only checks of these clauses.
        checks: only checks with these ids.
        timeout: limit of one check, seconds.
        slow: also make the checks that take long.
        path: the container's data path.
        message: a text message that the container takes.
        pid: the container's process; it is sent SIGTERM in the last check.
        model_protocol: what the container speaks.
        model: the model's name in realtime checks; "" stands for the one that is served.
        audio: a recording for realtime checks, else a made sound.
        fake_backend: where to stand in for the container's model server.
        backend_down: a shell command that stops the container's model server.
        backend_up: a shell command that starts it again.
        endpoint_name: the endpoint to invoke.
        region: that requests are signed for; where the SDK finds it unless given.
        ca: certificates to trust in place of the system's.
        behind: what the endpoint's container does, see `BEHIND`.
        allow_cost: also make the checks that cost money or load the endpoint.
        time_scale: seconds on the endpoint's clock for one real second; None where the endpoint
            is no emulator with `--time-scale`.
    """

    strict: bool = False
    clauses: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    timeout: float = 15.0
    slow: bool = False
    path: str = "/invocations-bidirectional-stream"
    message: str = '{"type": "contract.check"}'
    pid: int | None = None
    model_protocol: ModelProtocol = "none"
    model: str = ""
    audio: Path | None = None
    fake_backend: BackendAddress | None = None
    backend_down: str = ""
    backend_up: str = ""
    endpoint_name: str = ""
    region: str | None = None
    ca: Path | None = None
    behind: Behind = "unknown"
    allow_cost: bool = False
    time_scale: float | None = None


BEHIND: Mapping[Behind, str] = {
    "echo": "sends every frame back as it came, such as python -m fixtures.containers.echo",
    "never-pong": "takes every frame, and answers no ping",
    "closing": "answers its first data frame with Close 1011 and a reason",
    "refusing": "refuses every upgrade",
}
