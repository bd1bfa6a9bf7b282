"""How an image is run: what SageMaker gives to `docker run` (K4)."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sagemaker_bidi.containers.docker import DockerError
from sagemaker_bidi.containers.image import CONTAINER_PORT
from sagemaker_bidi.endpoints.addresses import endpoint_name

MODEL_FOLDER = "/opt/ml/model"
# What is left of a process that was killed is found by these.
OUR_LABEL = "org.sagemaker-bidi.hosted"
PROCESS_LABEL = "org.sagemaker-bidi.process"

# VENDOR/CLASS=NAME of the Container Device Interface; `--gpus` takes no slash.
_CDI_DEVICE = re.compile(r"[\w.-]+/[\w.-]+=[\w.:-]+")


@dataclass(frozen=True, slots=True)
class ImageRun:
    """How an image is run.

    Args:
        image: name or id.
        endpoint: whose container it is; before each line of its log.
        model: folder that is mounted at /opt/ml/model, read-only.
        environment: of the container, beside the image's own.
        gpus: as `docker run --gpus` takes it, such as `all`; or a device of the Container Device
            Interface, such as `nvidia.com/gpu=all`, where the daemon knows GPUs by that alone.
        port: of this machine, on 127.0.0.1; 0 takes a free one.
        options: more options of `docker create`.

    Raises:
        ValueError: no endpoint can have that name, or no container such a variable.
    """

    image: str
    endpoint: str = "voxtral"
    model: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    gpus: str | None = None
    port: int = 0
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            endpoint_name(self.endpoint)
        except ValueError as error:
            raise ValueError(f"endpoint name {self.endpoint!r} {error}") from error
        for name, value in self.environment.items():
            _check_variable(name, value)


def create_options(run: ImageRun, name: str, port: int) -> list[str]:
    """The options of `docker create`.

    Args:
        name: of the container.
        port: of this machine, on 127.0.0.1.

    Raises:
        DockerError: there is no such model folder.
    """
    options = ["--name", name]
    options += ["--label", f"{OUR_LABEL}={run.endpoint}"]
    options += ["--label", f"{PROCESS_LABEL}={os.getpid()}"]
    options += ["--publish", f"127.0.0.1:{port}:{CONTAINER_PORT}"]
    if run.model is not None:
        if not run.model.is_dir():
            raise DockerError(f"no model folder {run.model}: Docker would mount an empty one")
        options += ["--volume", f"{run.model.resolve()}:{MODEL_FOLDER}:ro"]
    if run.environment:
        options += ["--env-file", "/dev/stdin"]
    if run.gpus is not None:
        options += ["--device" if _CDI_DEVICE.fullmatch(run.gpus) else "--gpus", run.gpus]
    return [*options, *run.options]


def environment_file(run: ImageRun) -> str:
    """The container's variables as `docker create --env-file` reads them.

    Not its command line, which everybody can see, and not the docker command's own environment,
    which says where that finds its daemon.
    """
    return "".join(f"{name}={value}\n" for name, value in run.environment.items())


def read_environment(given: Iterable[str]) -> dict[str, str]:
    """Read variables as `--env` has them.

    Raises:
        ValueError: one is not NAME=VALUE, or Docker cannot pass it on.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ValueError(f"--env {text}: write it as NAME=VALUE")
        _check_variable(name, value)
        found[name] = value
    return found


def _check_variable(name: str, value: str) -> None:
    """Refuse what would be another variable, or none, in the file that Docker reads."""
    if not name or name.startswith("#") or any(each.isspace() or each == "=" for each in name):
        raise ValueError(
            f"environment variable {name!r} of the container: Docker takes no such name; write one "
            "of letters, digits and underscores"
        )
    if "\n" in value or "\r" in value:
        raise ValueError(
            f"environment variable {name} of the container has a line break, which Docker's "
            "--env-file cannot pass on: give it in one line, or set it in the image with ENV"
        )


def free_port() -> int:
    """A port of this machine that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
