"""What a check of a container works with: sessions, pages, and the backend where it is ours."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import uuid
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from sagemaker_bidi.extras import needs
from sagemaker_bidi.replay.targets import Target
from sagemaker_bidi_contract.container.fake_backend import FakeBackend
from sagemaker_bidi_contract.container.process import ContainerProcess
from sagemaker_bidi_contract.exchange import ExchangeLog
from sagemaker_bidi_contract.options import ContainerTarget, Options, TargetError
from sagemaker_bidi_contract.verdicts import Unmet
from sagemaker_bidi_contract.wire.opening import Upgrade, UpgradeAnswer, open_stream
from sagemaker_bidi_contract.wire.page import Page, get
from sagemaker_bidi_contract.wire.reach import no_container, why_unreachable
from sagemaker_bidi_contract.wire.received import End
from sagemaker_bidi_contract.wire.stream import FrameStream

REQUEST_ID = "X-Amzn-SageMaker-Request-Id"
_CONNECT_SECONDS = 3.0
_ECHO_SECONDS = 1.0

_NEEDS = {
    "pid": "it ends the container with SIGTERM; give its process with --pid",
    "fake-backend": "it needs a backend that it can script: give the container a port of this "
    "machine as its model server, and the suite that port with --fake-backend",
    "backend-commands": "it stops the container's model server; give shell commands for that with "
    "--backend-down-cmd and --backend-up-cmd",
    "vllm-realtime": "it speaks vLLM's Realtime API; say that the container does so with "
    "--model-protocol vllm-realtime",
    "slow": "it takes about a minute; ask for it with --slow",
}


class ContainerStage:
    """A container under test.

    Args:
        target: where it is.
        options: what the user allows.

    Raises:
        TargetError: on entry, when the fake backend cannot listen, or
            the process is not there.
    """

    def __init__(self, target: ContainerTarget, options: Options) -> None:
        self.target = target
        self.options = options
        self.awaited = ""
        self.log = ExchangeLog()
        if options.model_protocol == "vllm-realtime":
            with needs("client", "--model-protocol vllm-realtime"):
                importlib.import_module("sagemaker_bidi_client.realtime")
        self.log.shows_payloads = options.audio is None
        self._backend: FakeBackend | None = None
        if options.fake_backend is not None:
            self._backend = FakeBackend(options.fake_backend, self.log)
        self._process = None if options.pid is None else ContainerProcess(options.pid)
        self._entered = contextlib.AsyncExitStack()
        self._numbers = itertools.count(1)
        self._streams: list[FrameStream] = []
        self._echoes: bool | None = None
        self._opens: bool | None = None
        self._answers_ping: bool | None = None
        self._known = False

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as entered:
            if self._process is not None:
                entered.enter_context(self._process)
            if self._backend is not None:
                await entered.enter_async_context(self._backend)
            self._entered = entered.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.clear()
        await self._entered.__aexit__(kind, error, trace)

    @property
    def backend(self) -> FakeBackend:
        """The scripted backend; only for checks that require it."""
        if self._backend is None:
            raise TargetError("no fake backend was asked for")
        return self._backend

    @property
    def plays_backend(self) -> bool:
        """Whether the suite stands in the model server's place."""
        return self._backend is not None

    @property
    def process(self) -> ContainerProcess:
        """The container's process; only for checks that require it."""
        assert self._process is not None, "its number is not known"
        return self._process

    async def upgrade(
        self,
        path: str | None = None,
        headers: tuple[tuple[str, str], ...] | None = None,
        *,
        within: float = 5.0,
        receive_buffer: int | None = None,
    ) -> UpgradeAnswer:
        """Ask for a WebSocket, with SageMaker's request id unless `headers` are given.

        Raises:
            Unmet: no answer in time.
        """
        if headers is None:
            headers = ((REQUEST_ID, str(uuid.uuid4())),)
        upgrade = Upgrade(path or self.options.path, headers, within, receive_buffer)
        who = f"session {next(self._numbers)}"
        answer = await open_stream(self.target, upgrade, who, self.log, self._await)
        if answer.stream is not None:
            self._streams.append(answer.stream)
        return answer

    async def accepted(
        self, *, within: float = 5.0, receive_buffer: int | None = None
    ) -> UpgradeAnswer:
        """Open a session on the data path.

        Raises:
            Unmet: refused, or no answer in time.
        """
        answer = await self.upgrade(within=within, receive_buffer=receive_buffer)
        if answer.stream is None:
            raise Unmet(
                f"the upgrade on {self.options.path} was answered with {answer.words}",
                "HTTP 101 on the data path",
            )
        return answer

    @contextlib.asynccontextmanager
    async def session(self, *, receive_buffer: int | None = None) -> AsyncIterator[FrameStream]:
        """An open session on the data path; closed with 1000 at the end of the block.

        Raises:
            Unmet: the container does not accept.
        """
        stream = (await self.accepted(receive_buffer=receive_buffer)).stream
        assert stream is not None
        try:
            yield stream
            await stream.close(1000)
            with contextlib.suppress(Unmet):
                await stream.ended(1, "the answer to Close 1000")
        finally:
            await stream.dispose()

    async def get(self, path: str, within: float = 5.0) -> Page:
        """GET a page of the container."""
        self._await(f"an answer to GET {path}")
        return await get(self.target, path, within, self.log)

    def remember_ping(self, healthy: bool) -> None:
        """Have the checks that rest on `/ping` skipped, or made: one has told of it."""
        self._answers_ping = healthy

    @property
    def replayed_to(self) -> Target:
        """Where a recording is played: on the path that was recorded, unless one was asked for."""
        path = self.options.path
        return Target(self.target.url, "" if path == Options().path else path)

    async def missing(self, capability: str) -> str | None:
        """Why a check with this requirement cannot be made here, or None.

        Raises:
            Unmet: no session opens, and no check has said so yet.
        """
        options = self.options
        match capability:
            case "pid":
                there = options.pid is not None
            case "fake-backend":
                there = options.fake_backend is not None
            case "backend-commands":
                there = bool(options.backend_down and options.backend_up)
            case "slow":
                there = options.slow
            case "vllm-realtime":
                there = options.model_protocol == "vllm-realtime"
                if there and options.fake_backend is not None:
                    return "the fake backend stands in vLLM's place; run once more without it"
            case "session":
                return None if await self._does_open() else self._no_session
            case "echo":
                if not await self._does_open():
                    return self._no_session
                return None if await self._does_echo() else _NO_ECHO
            case "ping":
                return None if await self._does_answer_ping() else _NO_PING
            case _:
                raise ValueError(f"no check may require {capability!r}")
        return None if there else _NEEDS[capability]

    async def unreachable(self) -> str | None:
        """Why no container accepts TCP connections there, or None."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(self.target.host, self.target.port)
            writer.transport.abort()
            if not self._known:
                stranger = await no_container(self.target, _CONNECT_SECONDS)
                self._known = stranger is None
                return stranger
        except TimeoutError:
            return f"{self.target.address} did not accept within {_CONNECT_SECONDS:g} s"
        except (OSError, UnicodeError) as error:
            return why_unreachable(self.target, error)
        return None

    async def clear(self) -> None:
        """Close what a check has left open, and let the backend echo again."""
        for stream in self._streams:
            await stream.dispose()
        self._streams.clear()
        self._numbers = itertools.count(1)
        if self._backend is not None:
            await self._backend.reset()
        self.awaited = ""

    @property
    def _no_session(self) -> str:
        return f"no session opens on {self.options.path}; see the first failure"

    async def _does_open(self) -> bool:
        """Whether a session opens on the data path at all; asked once.

        Raises:
            Unmet: it does not, for whoever asks first.
        """
        if self._opens is None:
            try:
                async with self.session():
                    self._opens = True
            except Unmet as wrong:
                self._opens = False
                raise Unmet(wrong.summary, wrong.expected, self._remedy(wrong)) from wrong
            except (OSError, EOFError) as error:
                self._opens = False
                raise Unmet(
                    f"the connection failed while opening a session: {error}",
                    "HTTP 101 on the data path",
                ) from error
            finally:
                await self.clear()
        return self._opens

    def _remedy(self, wrong: Unmet) -> str:
        if "answered with" not in wrong.summary:
            return (
                "nothing else can be checked until an upgrade is answered as RFC 6455, 4.2.2 has it"
            )
        return (
            f"SageMaker asks for {Options().path} unless the client names another path; if the "
            "container serves another, check it there: --path PATH"
        )

    async def _does_answer_ping(self) -> bool:
        """Whether `/ping` answers 200 as the container stands; asked once.

        Raises:
            Unmet: it does not, for whoever asks first.
        """
        if self._answers_ping is None:
            page = await self.get("/ping")
            self.remember_ping(page.status == 200)
            if page.status != 200:
                raise Unmet(f"GET /ping: {page.how}", "HTTP 200 within 2 s")
        return bool(self._answers_ping)

    async def _does_echo(self) -> bool:
        """Whether the container sends a text message back as it came; asked once."""
        if self._echoes is None:
            numbers, self._numbers = self._numbers, itertools.count(1)
            with self.log.paused():
                self._echoes = await self._try_echo()
            self._numbers = numbers
        return self._echoes

    async def _try_echo(self) -> bool:
        text = self.options.message
        try:
            async with self.session() as session:
                await session.text(text)
                answer = await session.message(_ECHO_SECONDS, "the message itself")
        except (Unmet, OSError):
            return False
        return not isinstance(answer, End) and answer.data == text.encode()

    def _await(self, what: str) -> None:
        self.awaited = what


_NO_PING = "GET /ping does not answer 200; see the check container.ping-page"
_NO_ECHO = (
    "it needs a container that sends back what it gets: an echo container, or a bridge in front of "
    "--fake-backend"
)
