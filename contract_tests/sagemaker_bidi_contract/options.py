"""What a user can tell the suite about a target."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from sagemaker_bidi.endpoints.addresses import without_user

type ModelProtocol = Literal["vllm-realtime", "none"]
type Behind = Literal["echo", "obeying", "never-pong", "closing", "refusing", "unknown"]
type Compare = Literal["exact", "json", "text"]

CONTAINER_PORT = 8080
ENDPOINT_PORT = 8443


class TargetError(ValueError):
    """A target or an option that cannot be used; says what is wrong and what is expected."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A host and a port; what kind of target listens there, its subclass says."""

    host: str
    port: int

    schemes: ClassVar[tuple[str, ...]]
    default_port: ClassVar[int]
    kind: ClassVar[str]
    write: ClassVar[str]
    why: ClassVar[str]
    path_option: ClassVar[str]

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `SCHEME://HOST[:PORT]`.

        Raises:
            TargetError: another scheme, a user or password, no host, no port number, or a path.
        """
        if (shown := without_user(url)) != url:
            raise TargetError(
                f"{shown!r} has a user or a password before the @, which nothing sends; write "
                f"{cls.write}"
            )
        parts = urlsplit(url)
        if "://" not in url and ":" in url:
            raise TargetError(
                f"{url!r} is no {cls.kind}'s address; did you mean {cls.schemes[0]}://{url}?"
            )
        if parts.scheme not in cls.schemes:
            raise TargetError(f"{url!r} is no {cls.kind}'s address; write {cls.write} ({cls.why})")
        if not parts.hostname:
            raise TargetError(f"{url!r} names no host; write {cls.write}")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise TargetError(f"{url!r} has a path; write {cls.write} alone ({cls.path_option})")
        try:
            return cls(parts.hostname, parts.port or cls.default_port)
        except ValueError as error:
            raise TargetError(f"{url!r}: {error}") from error

    @property
    def address(self) -> str:
        """`HOST:PORT` as a Host header has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`SCHEME://HOST:PORT`."""
        return f"{self.schemes[0]}://{self.address}"


class ContainerTarget(_Target):
    """A running container by its address (O2)."""

    schemes = ("ws", "http")
    default_port = CONTAINER_PORT
    kind = "container"
    write = "ws://HOST:PORT"
    why = "SageMaker uses no TLS towards a container"
    path_option = "--path chooses another path than /invocations-bidirectional-stream"


class EndpointTarget(_Target):
    """Where an endpoint's streams are opened: the emulator, or SageMaker itself (W1)."""

    schemes = ("https",)
    default_port = ENDPOINT_PORT
    kind = "endpoint"
    write = f"https://HOST:{ENDPOINT_PORT}"
    why = "SageMaker speaks HTTP/2 over TLS"
    path_option = "--endpoint-name says which endpoint"

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
        path: the container's data path; its leading slash may be left out.
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
        model_folder: of an image: what its container has at /opt/ml/model, read-only.
        environment: of an image: its container's, beside its own.
        gpus: of an image: as `docker run --gpus` takes it, such as `all`.
        variants: the endpoint's variants and their weights, as they are configured.
        recordings: files and folders of recordings to play to the target.
        container: what the target is (behind the endpoint), in the words of a recording's header;
            "" where it is not said.
        compare: how an answer is held against its recording.
        ignore: JSON members that are left out of that, beside ids, times and usage.
        speed: times as fast as recorded; 0 for as fast as the target goes.

    Raises:
        TargetError: a `pid` that cannot be a container's, such as those that stand for many
            processes at once.
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
    model_folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    gpus: str | None = None
    variants: Mapping[str, float] = field(default_factory=dict)
    recordings: tuple[Path, ...] = ()
    container: str = ""
    compare: Compare = "json"
    ignore: tuple[str, ...] = ()
    speed: float = 0.0

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            object.__setattr__(self, "path", f"/{self.path}")
        if self.pid is None:
            return
        if self.pid <= 1:
            raise TargetError(f"--pid {self.pid}: give the container's process, a number over 1")
        if self.pid in (os.getpid(), os.getppid()):
            raise TargetError(
                f"--pid {self.pid}: that is this command itself, or what has started it; give the "
                "container's process"
            )


BEHIND: Mapping[Behind, str] = {
    "echo": "sends every frame back as it came, such as "
    "python -m sagemaker_bidi_fixtures.containers.echo",
    "obeying": "does what the suite tells it to, python -m sagemaker_bidi_contract.obeying",
    "never-pong": "takes every frame, and answers no ping",
    "closing": "answers its first data frame with Close 1011 and a reason",
    "refusing": "refuses every upgrade",
}
