"""A container of an image, started, watched, started again and stopped as SageMaker does (K4)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sagemaker_bidi.clock import Clock, RealClock, first_of
from sagemaker_bidi.containers.container_end import ContainerFailed, Stopped
from sagemaker_bidi.containers.container_log import ContainerLog
from sagemaker_bidi.containers.docker import (
    DockerError,
    NoSuchContainer,
    docker,
    explain,
    require_daemon_here,
    start_docker,
)
from sagemaker_bidi.containers.image import CONTAINER_PORT, ImageFacts, inspect_image
from sagemaker_bidi.containers.image_run import (
    ImageRun,
    create_options,
    environment_file,
    free_port,
)
from sagemaker_bidi.containers.inspection import ending_of, misplaced, state_of
from sagemaker_bidi.endpoints.ping import ping
from sagemaker_bidi.shown import logger_named

__all__ = ["STOP_SECONDS", "ContainerFailed", "HostedContainer", "ImageRun", "Stopped"]

STOP_SECONDS = 30.0
PING_SECONDS = 2.0

# For one with no session to end: it was never healthy, or the block that ran it has failed.
_SHORT_STOP_SECONDS = 2.0
# The command `docker` may fail for so long while a container starts.
_DOCKER_PATIENCE = 10.0
# Nothing listens for so long, and a look into the container tells why.
_ADVICE_SECONDS = 10.0
_POLL_SECONDS = 0.5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

logger = logger_named("bidi.hosting")


def show_line(line: str) -> None:
    """Print a line of the container's log now, also where standard output is a pipe."""
    print(line, flush=True)


class HostedContainer:
    """A container as SageMaker runs it: `async with HostedContainer(ImageRun("voxtral")) as it`.

    It runs on return, and is not healthy yet: `healthy` waits for that. While the block lasts a
    container that ends is started again, at the same address; one that has not been healthy within
    `startup` is not.

    Args:
        run: the image, and how it is run.
        startup: seconds until a container that has not been healthy fails its endpoint.
        restarts: whether one that ends is started again.
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
        restarts: bool = True,
        on_line: Callable[[str], None] = show_line,
        clock: Clock | None = None,
    ) -> None:
        self.run = run
        self.facts: ImageFacts | None = None
        self.url = ""
        self.name = f"bidi-{run.endpoint}-{secrets.token_hex(4)}"
        self.starts = 0
        self._startup = startup
        self._restarts = restarts
        self._on_line = on_line
        self._clock = (clock or RealClock()).unscaled
        self._log = ContainerLog(run.endpoint, self._show)
        self._began = 0.0
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()
        self._latest = "has not been asked yet"
        self._healthy = asyncio.Event()
        self._healthy_after = 0.0
        self._was_healthy = False
        self._code: int | None = None
        self._ending = ""
        self._again = asyncio.Event()
        self._started = asyncio.Event()
        self._created = False
        self._attached: asyncio.subprocess.Process | None = None
        self._lives: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await require_daemon_here(self.run.endpoint)
        self.facts = await inspect_image(self.run.image)
        self.facts.check()
        port = self.run.port or free_port()
        self.url = f"ws://127.0.0.1:{port}"
        # Before: a `docker create` that is called off may have made it all the same.
        self._created = True
        try:
            await docker(
                "create",
                *create_options(self.run, self.name, port),
                self.run.image,
                "serve",
                given=environment_file(self.run),
            )
            self._began = self._clock.now()
            self._lives = asyncio.create_task(self._live(), name=f"container {self.name}")
            await first_of(asyncio.wait({self._lives}), self._started.wait())
            if self._lives.done():
                self._lives.result()
        except BaseException:
            await self._remove()
            raise
        self._lives.add_done_callback(self._tell_of_a_failure)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            drains = exc is None and self._was_healthy
            await self.stop(STOP_SECONDS if drains else _SHORT_STOP_SECONDS)
        finally:
            await self._remove()

    async def healthy(self) -> float:
        """Wait until `GET /ping` answers 200; gives the seconds since the start (K4).

        Raises:
            ContainerFailed: that took longer than `startup`, or it has ended for good.
        """
        assert self._lives is not None, "use it as `async with HostedContainer(…)`"
        with contextlib.suppress(TimeoutError):
            async with self._clock.within(self._began + self._startup - self._clock.now()):
                await first_of(self._healthy.wait(), asyncio.wait({self._lives}))
        if self._healthy.is_set():
            return self._healthy_after
        asked = f"GET {self.url.replace('ws', 'http', 1)}/ping"
        if self._lives.done():
            self._lives.result()
            raise ContainerFailed(
                f"endpoint {self.run.endpoint}: the container ended with {self._ending}, start "
                f"{self.starts}, before {asked} answered 200 (K4)",
                self._log.tail,
            )
        raise ContainerFailed(
            f"endpoint {self.run.endpoint}: {asked} {self._latest}; after {self._startup:g} s "
            "SageMaker fails the endpoint (K4)",
            self._log.tail,
        )

    async def started_again(self) -> None:
        """Wait until it has ended and been started once more."""
        self._again.clear()
        await self._again.wait()

    async def stop(self, seconds: float = STOP_SECONDS) -> Stopped | None:
        """Send SIGTERM, and SIGKILL `seconds` later where it still runs (K4).

        Returns:
            How it ended; None where it was not running.
        """
        self._stopping.set()
        try:
            if not self._created or not await self._is_running():
                return None
        except DockerError as error:
            logger.error("%s: the container cannot be stopped: %s", self.run.endpoint, error)
            return None
        started = self._clock.now()
        # Docker counts whole seconds, and says 137 for SIGKILL and for an exit with 137 alike.
        with contextlib.suppress(DockerError):  # it may end by itself in this moment
            await docker("kill", "--signal", "TERM", self.name)
        killed = False
        assert self._lives is not None
        with contextlib.suppress(TimeoutError):
            async with self._clock.within(started + seconds - self._clock.now()):
                await first_of(asyncio.wait({self._lives}), self._at_once.wait())
        if not self._lives.done():
            killed = True
            logger.warning(
                "%s: still running %.3g s after SIGTERM: killed (K4)",
                self.run.endpoint,
                self._clock.now() - started,
            )
            with contextlib.suppress(DockerError):  # it has ended by itself in this moment
                await docker("kill", "--signal", "KILL", self.name)
            await self._lives
        code = self._code
        with contextlib.suppress(DockerError):  # somebody has removed it in this moment
            code = int(await docker("inspect", "--format", "{{.State.ExitCode}}", self.name))
        assert code is not None, "its life is over"
        took = self._clock.now() - started
        logger.info(
            "%s: the container ended with %d, %.1f s after SIGTERM", self.run.endpoint, code, took
        )
        return Stopped(code, took, killed)

    def stop_now(self) -> None:
        """Leave it no time after its SIGTERM: a `stop` under way kills it now."""
        self._at_once.set()

    async def first_process(self) -> str:
        """The command line of process 1, the one that gets SIGTERM. Raises DockerError."""
        found = json.loads(await docker("inspect", "--format", "{{json .}}", self.name))
        return " ".join([found["Path"], *found["Args"]])

    async def _state(self) -> str:
        return await state_of(self.name)

    async def _is_running(self) -> bool:
        return await self._state() in ("running", "paused")

    async def _state_again(self) -> str:
        """Its state, when Docker says it: a daemon that restarts is waited for."""
        told = False
        while True:
            try:
                state = await self._state()
            except DockerError as error:
                if not self._started.is_set():
                    raise
                if not told:
                    told = True
                    logger.error(
                        "%s: nobody looks after the container %s until Docker answers again: %s",
                        self.run.endpoint,
                        self.name,
                        error,
                    )
            else:
                if told:
                    logger.warning("%s: Docker answers again", self.run.endpoint)
                return state
            await self._clock.sleep_until(self._clock.now() + 1.0)

    async def _live(self) -> None:
        """One life after another, until told to stop or the endpoint fails."""
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            self.starts += 1
            self._code = await self._one_life()
            self._ending = str(self._code)
            if self._stopping.is_set():
                return
            state = await self._state_again()
            if state in ("running", "paused"):
                # What had ended was the daemon, or the command that listens to it.
                continue
            if not state:
                logger.error(
                    "%s: the container %s has been removed, and with it the endpoint has failed: "
                    "nothing starts it again",
                    self.run.endpoint,
                    self.name,
                )
                return
            self._ending = await ending_of(self.name, self._code)
            if not self._restarts or self._has_failed():
                return
            if self._healthy.is_set():
                pause = _FIRST_PAUSE
            logger.error(
                "%s: the container ended with %s; SageMaker starts it again, here in %g s",
                self.run.endpoint,
                self._ending,
                pause,
            )
            await self._clock.sleep_until(self._clock.now() + pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            if self._has_failed():
                return
            if self._was_healthy:
                self._began = self._clock.now()
            self._healthy.clear()
            self._again.set()

    def _has_failed(self) -> bool:
        """Whether its time to get healthy is over; says so."""
        if self._was_healthy or self._clock.now() - self._began < self._startup:
            return False
        logger.error(
            "%s: the container ended with %s, was started %s, and was never healthy: SageMaker "
            "fails the endpoint now (K4)",
            self.run.endpoint,
            self._ending,
            "once" if self.starts == 1 else f"{self.starts} times",
        )
        return True

    def _tell_of_a_failure(self, lives: asyncio.Task[None]) -> None:
        """Nobody waits for this task: what it fails of reaches the log."""
        if not lives.cancelled() and (error := lives.exception()) is not None:
            logger.error(
                "%s: nothing starts the container %s again: %s",
                self.run.endpoint,
                self.name,
                error,
            )

    async def _one_life(self) -> int:
        process = await start_docker("start", "--attach", self.name)
        self._attached = process
        attached = asyncio.create_task(self._log.attend(process))
        watching = asyncio.create_task(self._watch_start())
        try:
            await asyncio.wait({attached, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                # Docker says nothing of it any more, or all is well.
                watching.result()
            code = await attached
        finally:
            for task in (attached, watching):
                task.cancel()
            await asyncio.gather(attached, watching, return_exceptions=True)
        if not self._started.is_set():
            if await self._state() == "created":
                raise DockerError(explain("\n".join(self._log.tail), ("start",)))
            self._started.set()
        return code

    async def _watch_start(self) -> None:
        """Notice that it runs, then that it is healthy.

        Raises:
            DockerError: Docker has not said for a while whether it runs.
        """
        patient_until = self._clock.now() + _DOCKER_PATIENCE
        while not self._started.is_set():
            try:
                running = await self._is_running()
                patient_until = self._clock.now() + _DOCKER_PATIENCE
            except DockerError:
                if self._clock.now() >= patient_until:
                    raise
                running = False
            if running:
                self._started.set()
                logger.info(
                    "%s: started container %s of %s", self.run.endpoint, self.name, self.run.image
                )
                break
            await self._clock.sleep_until(self._clock.now() + 0.05)
        advice_at = self._clock.now() + _ADVICE_SECONDS
        while True:
            answer = await ping(self.url, clock=self._clock, seconds=PING_SECONDS)
            now = self._clock.now()
            if answer.status == 200:
                self._was_healthy = True
                self._healthy_after = now - self._began
                self._healthy.set()
                return
            self._latest = answer.what
            if answer.status is None and now >= advice_at:
                advice_at = float("inf")
                if (advice := await misplaced(self.name, CONTAINER_PORT)) is not None:
                    logger.warning("%s: %s", self.run.endpoint, advice)
            await self._clock.sleep_until(now + _POLL_SECONDS)

    def _show(self, line: str) -> None:
        # What Docker says of a start that fails is raised.
        if self._started.is_set() or "| Error response from daemon" not in line:
            self._on_line(line)

    async def _remove(self) -> None:
        self._stopping.set()
        if self._created:
            try:
                await docker("rm", "--force", "--volumes", self.name)
            except NoSuchContainer:
                pass
            except (DockerError, asyncio.CancelledError) as error:
                logger.error(
                    "%s: the container may still be there (%s): `docker rm --force --volumes %s` "
                    "removes it",
                    self.run.endpoint,
                    str(error) or "told not to wait for Docker",
                    self.name,
                )
                if isinstance(error, asyncio.CancelledError):
                    raise
        if self._lives is not None:
            self._lives.cancel()
            await asyncio.gather(self._lives, return_exceptions=True)
        if self._attached is not None and self._attached.returncode is None:
            self._attached.kill()
            await self._attached.wait()
