"""A container that plays the container's side of recordings, and holds the client against them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from websockets.frames import Opcode as WireOpcode

from sagemaker_bidi.clock import Clock, RealClock
from sagemaker_bidi.contract.endings import ABNORMAL, NO_STATUS
from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.contract.opening import CONTAINER_PATH
from sagemaker_bidi.recordings.files import Recording, RecordingError
from sagemaker_bidi.recordings.script import Finish, Heard, Script, script_of
from sagemaker_bidi.replay.compare import IGNORED, Difference, Mode, compare
from sagemaker_bidi.replay.side import Pace, Side
from sagemaker_bidi.transport.container import DATA
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.server import FrameServer

UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one connection.

    Args:
        recording: what was played.
        said: frames that were sent.
        problem: in one line what the client did not do; empty where nothing is wrong.
        difference: the first one between what the client said and what was recorded.
    """

    recording: Recording
    said: int
    problem: str = ""
    difference: Difference | None = None

    @property
    def alike(self) -> bool:
        """Whether the client did what was recorded."""
        return not self.problem and self.difference is None


class Playback:
    """A container of recordings: the first connection gets the first one, and so on.

    It says what was recorded once the client has said what preceded it.

    Args:
        recordings: in their order.
        repeat: begin again after the last one; else further connections are refused with 503.
        mode: how the client's side is compared.
        pace: how fast.
        beyond: serves the connections after the last recording, in place of refusing them.

    Raises:
        RecordingError: there is nothing in a recording to play.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        repeat: bool = False,
        mode: Mode = "json",
        pace: Pace | None = None,
        ignored: Iterable[str] = IGNORED,
        beyond: Callable[[FrameSocket], Awaitable[None]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        paths = [recording.header.path.partition("?")[0] for recording in recordings]
        self._server = _Server(self._answer, host, port)
        self._paths = tuple({CONTAINER_PATH, *filter(None, paths)})
        self.played: list[Played] = []
        self.refused = 0
        self.changed = asyncio.Condition()
        self._recordings = [(each, _script(each)) for each in recordings]
        self._repeat = repeat
        self._mode = mode
        self._pace = pace or Pace(speed=0)
        self._ignored = tuple(ignored)
        self._beyond = beyond
        self._clock = clock or RealClock()
        self._taken = 0

    @property
    def url(self) -> str:
        """Where it listens, `ws://HOST:PORT`."""
        return self._server.url

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            PortTaken: something else listens there.
        """
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening and end every connection."""
        await self._server.__aexit__(kind, error, trace)

    async def wait_for_open(self) -> None:
        """Wait until every connection that plays a recording has ended."""
        async with self.changed:
            await self.changed.wait_for(
                lambda: len(self.played) >= min(self._taken, len(self._recordings))
            )

    async def wait_for_played(self, count: int) -> list[Played]:
        """Wait until `count` connections have ended."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.played) >= count)
        return self.played

    async def _answer(self, connection: FrameSocket) -> None:
        request = await connection.request()
        if request is None:
            return
        path = request.path.partition("?")[0]
        if path == "/ping":
            await connection.respond(200)
            return
        if path not in self._paths:
            await connection.respond(404)
            return
        found = self._take()
        if found is None and self._beyond is None:
            self.refused += 1
            await connection.respond(UNAVAILABLE)
        elif found is not None and found[0].refusal is not None:
            # Whatever a container answers, the client is told the same (O4).
            await connection.respond(UNAVAILABLE)
            await self._note(Played(found[0], 0))
        elif await connection.accept(request):
            if found is not None:
                await self._play(connection, *found)
            elif self._beyond is not None:
                await self._beyond(connection)

    def _take(self) -> tuple[Recording, Script] | None:
        number = self._taken
        self._taken += 1
        if self._repeat and self._recordings:
            number %= len(self._recordings)
        return self._recordings[number] if number < len(self._recordings) else None

    async def _play(self, connection: FrameSocket, recording: Recording, script: Script) -> None:
        container = _Container(script, connection, self._pace, self._clock)
        try:
            await container.run()
        finally:
            difference = compare(
                script.client_messages, container.side.heard.messages, self._mode, self._ignored
            )
            await self._note(Played(recording, container.side.said, container.problem, difference))

    async def _note(self, played: Played) -> None:
        async with self.changed:
            self.played.append(played)
            self.changed.notify_all()


class _Server(FrameServer):
    """A container that leaves the upgrade itself to somebody else."""

    def __init__(
        self, answer: Callable[[FrameSocket], Awaitable[None]], host: str, port: int
    ) -> None:
        super().__init__(answer, host=host, port=port)

    async def _answer(self, connection: FrameSocket) -> None:
        await self._serve(connection)


def _script(recording: Recording) -> Script:
    script = script_of(recording)
    if recording.refusal is None and not script.client and not script.container:
        raise RecordingError(f"{recording.path}: plays nothing: no part and no frame is in it")
    return script


class _Container:
    """The container's side of one connection."""

    def __init__(self, script: Script, connection: FrameSocket, pace: Pace, clock: Clock) -> None:
        self.problem = ""
        self._script = script
        self._connection = connection
        # A client may take its time; how long is its own affair.
        self.side = Side(script.container, pace, clock)

    async def run(self) -> None:
        listening = asyncio.create_task(self._listen())
        try:
            if await self.side.speak(self._send) is not None:
                self.problem = (
                    f"the client left after {len(self.side.heard.messages)} messages, before "
                    f"{len(self._script.container) - self.side.said} frames were said"
                )
            await self._finish(self._script.finish, listening)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self) -> None:
        try:
            while (frame := await self._connection.receive()) is not None:
                opcode = Opcode(int(frame.opcode))
                if opcode in DATA:
                    self.side.receive(Frame(opcode, bytes(frame.data), frame.fin))
        except ConnectionError:
            pass
        finally:
            self.side.end()

    async def _send(self, frame: Frame) -> None:
        await self._connection.send(WireOpcode(int(frame.opcode)), frame.payload, fin=frame.fin)

    async def _finish(self, finish: Finish, listening: asyncio.Task[None]) -> None:
        if finish.by != "container":
            await listening
            return
        await self.side.has_heard(Heard(len(self._script.client_messages)))
        if not self.side.over:
            await self.side.time_for(finish.seconds)
        if self.side.over:
            return
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await self._end(finish)

    async def _end(self, finish: Finish) -> None:
        code = finish.code
        if code is None:
            code = 1000 if finish.error is None else _code_of(finish)
        reason = finish.reason or (finish.error.text if finish.error else "")
        if code == ABNORMAL:
            self._connection.abort()
        elif code == NO_STATUS:
            await self._connection.close(1000)
        else:
            await self._connection.close(code, _fitting(reason))


def _code_of(finish: Finish) -> int:
    # An endpoint wraps its container's Close code into the error's (E1).
    told = finish.error.code if finish.error else ""
    if told.isdecimal() and 1000 <= int(told) <= 4999 and int(told) not in (NO_STATUS, ABNORMAL):
        return int(told)
    return ABNORMAL if told == "StreamBroken" else 1011


def _fitting(reason: str) -> str:
    """A reason within the 123 bytes of a Close frame (RFC 6455 5.5)."""
    return reason.encode()[:123].decode(errors="ignore")
