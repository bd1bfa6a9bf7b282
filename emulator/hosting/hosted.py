"""A container of an image, started, watched, started again and stopped as SageMaker does (K4)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from emulator.clock import Clock, RealClock
from emulator.hosting.docker import DockerError, docker, explain, start_docker
from emulator.hosting.image import CONTAINER_PORT, ImageFacts, inspect_image
from emulator.hosting.ping import ping

MODEL_FOLDER = "/opt/ml/model"
STOP_SECONDS = 30.0
OUR_LABEL = "org.sagemaker-bidi.hosted"

_POLL_SECONDS = 0.5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_TAIL_LINES = 20
_LONGEST_LINE = 64 * 1024

logger = logging.getLogger("bidi.hosting")


class ContainerFailed(RuntimeError):
    """The container never became healthy, and its endpoint has failed; has the tail of its log."""


@dataclass(frozen=True, slots=True)
class ImageRun:
    """How an image is run.

    Args:
        image: name or id.
        endpoint: whose container it is; before each line of its log.
        model: folder that is mounted at /opt/ml/model, read-only.
        environment: of the container, beside the image's own.
        gpus: as `docker run --gpus` takes it, such as `all`.
        port: of this machine, on 127.0.0.1; 0 takes a free one.
        options: more options of `docker create`.
    """

    image: str
    endpoint: str = "voxtral"
    model: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    gpus: str | None = None
    port: int = 0
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a container ended after SIGTERM; `killed` where 30 s were not enough for it."""

    code: int
    seconds: float
    killed: bool


class HostedContainer:
    """A container as SageMaker runs it: `async with HostedContainer(ImageRun("voxtral")) as it`.

    It runs on return, and is not healthy yet: `healthy` waits for that. While the block lasts a
    container that ends is started again, at the same address.

    Args:
        run: the image, and how it is run.
        startup: seconds until a container that has not been healthy fails its endpoint.
        on_line: takes each line of its log, with the endpoint's name before it.
        clock: what all waiting asks; a container does not get faster with an emulator's time.

    Raises:
        DockerError: on entry, when Docker cannot run it.
        UnfitImage: on entry, when the image has not the label (O1).
    """

    def __init__(
        self,
        run: ImageRun,
        *,
        startup: float = 480.0,
        on_line: Callable[[str], None] = print,
        clock: Clock | None = None,
    ) -> None:
        self.run = run
        self.facts: ImageFacts | None = None
        self.url = ""
        self.name = f"bidi-{run.endpoint}-{secrets.token_hex(4)}"
        self.starts = 0
        self._startup = startup
        self._on_line = on_line
        self._clock = (clock or RealClock()).unscaled
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._began = 0.0
        self._stopping = False
        self._healthy_after: float | None = None
        self._was_healthy = False
        self._again = asyncio.Event()
        self._started = asyncio.Event()
        self._created = False
        self._attached: asyncio.subprocess.Process | None = None
        self._lives: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.facts = await inspect_image(self.run.image)
        self.facts.check()
        port = self.run.port or _free_port()
        self.url = f"ws://127.0.0.1:{port}"
        await docker(
            "create",
            *self._options(port),
            self.run.image,
            "serve",
            environment={**os.environ, **self.run.environment},
        )
        self._created = True
        self._began = self._clock.now()
        self._lives = asyncio.create_task(self._live(), name=f"container {self.name}")
        started = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait({self._lives, started}, return_when=asyncio.FIRST_COMPLETED)
            if self._lives.done():
                self._lives.result()
        except BaseException:
            await self._remove()
            raise
        finally:
            started.cancel()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.stop()
        finally:
            await self._remove()

    async def healthy(self) -> float:
        """Wait until `GET /ping` answers 200; gives the seconds since the start (K4).

        Raises:
            ContainerFailed: that took longer than `startup`.
        """
        while self._healthy_after is None:
            if self._lives is not None and self._lives.done():
                self._lives.result()
            answer = await ping(self.url, clock=self._clock, seconds=2.0)
            now = self._clock.now()
            if answer.status == 200:
                self._was_healthy = True
                self._healthy_after = now - self._began
                break
            if now - self._began >= self._startup:
                raise ContainerFailed(
                    f"endpoint {self.run.endpoint}: GET {self.url.replace('ws', 'http', 1)}/ping "
                    f"{answer.what}; after {self._startup:g} s SageMaker fails the endpoint "
                    f"(K4){self._log_tail()}"
                )
            await self._clock.sleep_until(now + _POLL_SECONDS)
        return self._healthy_after

    async def started_again(self) -> None:
        """Wait until it has ended and been started once more."""
        self._again.clear()
        await self._again.wait()

    async def stop(self, seconds: float = STOP_SECONDS) -> Stopped | None:
        """Send SIGTERM, and SIGKILL `seconds` later where it still runs (K4).

        Returns:
            How it ended; None where it was not running.
        """
        self._stopping = True
        if not self._created or not await self._is_running():
            return None
        started = self._clock.now()
        # Docker counts whole seconds, and says 137 for SIGKILL and for an exit with 137 alike.
        await docker("kill", "--signal", "TERM", self.name)
        killed = False
        assert self._lives is not None
        timer = asyncio.create_task(self._clock.sleep_until(started + seconds))
        await asyncio.wait({self._lives, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        if not self._lives.done():
            killed = True
            logger.warning(
                "%s: still running %g s after SIGTERM: killed (K4)", self.run.endpoint, seconds
            )
            with contextlib.suppress(DockerError):  # it has ended by itself in this moment
                await docker("kill", "--signal", "KILL", self.name)
            await self._lives
        code = int(await docker("inspect", "--format", "{{.State.ExitCode}}", self.name))
        return Stopped(code, self._clock.now() - started, killed)

    async def first_process(self) -> str:
        """The command line of process 1, the one that gets SIGTERM. Raises DockerError."""
        found = json.loads(await docker("inspect", "--format", "{{json .}}", self.name))
        return " ".join([found["Path"], *found["Args"]])

    async def _is_running(self) -> bool:
        state = await docker("inspect", "--format", "{{.State.Running}}", self.name)
        return state == "true"

    def _options(self, port: int) -> list[str]:
        run = self.run
        options = ["--name", self.name, "--label", f"{OUR_LABEL}={run.endpoint}"]
        options += ["--publish", f"127.0.0.1:{port}:{CONTAINER_PORT}"]
        if run.model is not None:
            if not run.model.is_dir():
                raise DockerError(f"no model folder {run.model}: Docker would mount an empty one")
            options += ["--volume", f"{run.model.resolve()}:{MODEL_FOLDER}:ro"]
        # By name alone: the values come from the environment, not onto a command line for all.
        for name in run.environment:
            options += ["--env", name]
        if run.gpus is not None:
            options += ["--gpus", run.gpus]
        return [*options, *run.options]

    async def _live(self) -> None:
        """One life after another, until told to stop or the endpoint fails."""
        pause = _FIRST_PAUSE
        while True:
            self.starts += 1
            code = await self._one_life()
            if self._stopping:
                return
            if not self._was_healthy and self._clock.now() - self._began >= self._startup:
                logger.error(
                    "%s: the container ended with %d and was never healthy: SageMaker fails the "
                    "endpoint now (K4)",
                    self.run.endpoint,
                    code,
                )
                return
            logger.error(
                "%s: the container ended with %d; SageMaker starts it again, here in %g s",
                self.run.endpoint,
                code,
                pause,
            )
            await self._clock.sleep_until(self._clock.now() + pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self._healthy_after = None
            self._again.set()

    async def _one_life(self) -> int:
        process = await start_docker("start", "--attach", self.name)
        self._attached = process
        assert process.stdout is not None
        assert process.stderr is not None
        watching = asyncio.create_task(self._note_start())
        try:
            await asyncio.gather(self._pump(process.stdout), self._pump(process.stderr))
            code = await process.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        if not self._started.is_set():
            if await docker("inspect", "--format", "{{.State.Status}}", self.name) == "created":
                raise DockerError(explain("\n".join(self._tail), ("start",)))
            self._started.set()
        return code

    async def _note_start(self) -> None:
        while not self._started.is_set():
            if await self._is_running():
                self._started.set()
                return
            await self._clock.sleep_until(self._clock.now() + 0.05)

    async def _pump(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readuntil()
            except asyncio.IncompleteReadError as error:
                line = error.partial
            except asyncio.LimitOverrunError as error:
                line = await stream.read(min(error.consumed, _LONGEST_LINE))
            if not line:
                return
            text = line.decode(errors="replace").rstrip("\r\n")
            self._tail.append(text)
            if self._started.is_set() or not text.startswith("Error response from daemon"):
                self._on_line(f"{self.run.endpoint} | {text}")

    async def _remove(self) -> None:
        self._stopping = True
        if self._created:
            with contextlib.suppress(DockerError):
                await docker("rm", "--force", "--volumes", self.name)
        if self._lives is not None:
            self._lives.cancel()
            await asyncio.gather(self._lives, return_exceptions=True)
        if self._attached is not None and self._attached.returncode is None:
            self._attached.kill()
            await self._attached.wait()

    def _log_tail(self) -> str:
        return "".join(f"\n  {line}" for line in ("the end of its log:", *self._tail))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
