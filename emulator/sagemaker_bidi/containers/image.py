"""What an image says about itself, before anything of it runs (O1, O2, K4)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sagemaker_bidi.containers.docker import DockerError, docker

LABEL = "com.amazonaws.sagemaker.capabilities.bidirectional-streaming"
CONTAINER_PORT = 8080
# What starts another program and takes no part in it, with its options that have a value.
_STARTERS: Mapping[str, tuple[str, ...]] = {
    "env": ("-u", "--unset", "-C", "--chdir"),
    "tini": ("-e", "-p"),
    "docker-init": ("-e", "-p"),
    "dumb-init": ("-r", "--rewrite"),
    "catatonit": (),
}
_SHELLS = ("sh", "bash", "dash", "ash", "zsh")


class UnfitImage(ValueError):
    """SageMaker would open no WebSocket to a container of this image; says why."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The configuration of an image.

    Args:
        name: as it was asked for.
        image_id: `sha256:…`.
        labels: by name.
        entrypoint: program and arguments; empty where there is none.
        command: default arguments, or the program where there is no entrypoint; what SageMaker
            replaces with `serve`.
        user: whom it runs as; empty for root.
        ports: TCP ports that it declares.
        environment: variable names that it sets.
        healthcheck: whether it has one.
    """

    name: str
    image_id: str
    labels: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    ports: frozenset[int] = frozenset()
    environment: frozenset[str] = frozenset()
    healthcheck: bool = False

    @property
    def bidirectional(self) -> bool:
        """Whether it has the label without which no WebSocket is opened (O1)."""
        return self.labels.get(LABEL) == "true"

    @property
    def as_root(self) -> bool:
        """Whether it runs as root."""
        return self.user.partition(":")[0] in ("", "root", "0")

    @property
    def shell_form(self) -> bool:
        """Whether its entrypoint is a line for a shell, which no argument reaches (K4)."""
        words = _behind(self.entrypoint)
        if len(words) < 3:
            return False
        program, *_, option, _ = words
        # What follows the line would be arguments of it, and `serve` one more.
        return (
            program.rpartition("/")[2] in _SHELLS and re.fullmatch("-[a-z]*c", option) is not None
        )

    def check(self) -> None:
        """Check that SageMaker would stream to it.

        Raises:
            UnfitImage: the label is missing, or not `true` (O1).
        """
        if self.bidirectional:
            return
        found = self.labels.get(LABEL)
        what = "has no label" if found is None else f"has {found!r} in the label"
        raise UnfitImage(
            f"image {self.name} {what} {LABEL}: SageMaker opens no WebSocket to it (O1). Add "
            f"`LABEL {LABEL}=true` to its Dockerfile"
        )


def _behind(words: tuple[str, ...]) -> tuple[str, ...]:
    """The program that starts in the end, behind those that only start another one."""
    while words and (name := words[0].rpartition("/")[2]) in _STARTERS:
        takes_value, rest = _STARTERS[name], words[1:]
        while rest and (rest[0].startswith("-") or (name == "env" and "=" in rest[0])):
            if rest[0] == "--":
                rest = rest[1:]
                break
            if name == "env" and rest[0] in ("-S", "--split-string") and len(rest) > 1:
                rest = (*shlex.split(rest[1]), *rest[2:])
                continue
            rest = rest[2:] if rest[0] in takes_value else rest[1:]
        words = rest
    return words


async def inspect_image(image: str) -> ImageFacts:
    """Read the configuration of an image that is here.

    Raises:
        DockerError: no docker command, no daemon, or no such image.
    """
    if not image:
        raise DockerError("no image is named: give the name or the id of one")
    (found,) = json.loads(await docker("image", "inspect", image))
    return read_facts(image, found)


def read_facts(image: str, inspected: Mapping[str, Any]) -> ImageFacts:
    """Read one entry of `docker image inspect`.

    Raises:
        DockerError: it holds no configuration.
    """
    config = inspected.get("Config")
    if not isinstance(config, Mapping):
        raise DockerError(f"image {image} has no configuration: is it an image to run?")
    ports = (port.partition("/") for port in config.get("ExposedPorts") or {})
    return ImageFacts(
        name=image,
        image_id=inspected.get("Id", ""),
        labels=dict(config.get("Labels") or {}),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        user=config.get("User") or "",
        ports=frozenset(int(number) for number, _, kind in ports if kind in ("", "tcp")),
        environment=frozenset(each.partition("=")[0] for each in config.get("Env") or ()),
        healthcheck=bool(config.get("Healthcheck")),
    )
