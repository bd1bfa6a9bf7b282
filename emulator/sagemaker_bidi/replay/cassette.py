"""The recordings of a test: an endpoint that replays them, or makes them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from websockets.frames import Opcode as WireOpcode

from sagemaker_bidi.clock import RealClock, first_of
from sagemaker_bidi.config import Config
from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.emulator import Emulator
from sagemaker_bidi.endpoints.addresses import container_url
from sagemaker_bidi.recordings.files import SUFFIX, Recording, RecordingError, read_recording
from sagemaker_bidi.recordings.format import Header, Origin
from sagemaker_bidi.recordings.recorder import Recorder
from sagemaker_bidi.replay.compare import Mode
from sagemaker_bidi.replay.playback import Playback
from sagemaker_bidi.replay.report import played_lines
from sagemaker_bidi.replay.targets import Target, TargetRefused
from sagemaker_bidi.transport.container import DATA, Closed
from sagemaker_bidi.transport.link import Link
from sagemaker_bidi_fixtures.containers.connection import FrameSocket

type RecordMode = Literal["none", "once", "new", "all"]
RECORD_MODES: tuple[str, ...] = get_args(RecordMode.__value__)
ENDPOINT = "recorded"
STOP_SECONDS = 1.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class CassetteOptions:
    """What a test's recording is and how it is used.

    Args:
        folder: where it stands.
        name: of the recording; further sessions of the test stand in `NAME-2`, `NAME-3`, ….
        mode: `none` replays and never records; `once` records where there is no recording;
            `new` replays what there is and records the sessions beyond; `all` records anew.
        target: what is recorded: `ws://HOST:PORT` or `https://HOST:PORT/NAME`.
        compare: how what the client says is held against the recording.
        provenance: what the target is.
    """

    folder: Path
    name: str
    mode: RecordMode = "none"
    target: str | None = None
    compare: Mode = "json"
    provenance: Origin = "unknown"


class Cassette:
    """An emulator whose one endpoint, `recorded`, replays a recording or makes it.

    Raises:
        RecordingError: on entry, where there is no recording and none can be made.
    """

    endpoint = ENDPOINT

    def __init__(self, options: CassetteOptions) -> None:
        if not _NAME.fullmatch(options.name):
            raise RecordingError(
                f"{options.name!r} is no name of a recording: letters, digits, hyphens, dots and "
                "underlines, and no folder"
            )
        self.options = options
        self.existing = [] if options.mode == "all" else _existing(options)
        missing = options.mode == "once" and not self.existing
        self.records = options.mode in ("new", "all") or missing
        self._exits = contextlib.AsyncExitStack()
        self._recorder: Recorder | None = None
        self._playback: Playback | None = None

    async def __aenter__(self) -> Self:
        options = self.options
        if not self.existing and not self.records:
            raise RecordingError(
                f"there is no recording {options.name!r} in {options.folder}; make it with "
                "--bidi-record-mode once --bidi-record-target ws://HOST:PORT"
            )
        if self.records and options.target is None:
            raise RecordingError(
                f"the recording {options.name!r} has to be made, and nothing tells of what; give "
                "--bidi-record-target ws://HOST:PORT"
            )
        try:
            container = await self._container()
            taps = []
            if self.records:
                folder = self._exits.enter_context(tempfile.TemporaryDirectory())
                header = Header(provenance=options.provenance, target=options.target or "")
                self._recorder = Recorder(Path(folder), header=header)
                taps.append(self._recorder)
            self.emulator = await self._exits.enter_async_context(
                Emulator(
                    {ENDPOINT: container},
                    config=Config(port=0, health="off", contract={"accept_seconds": 10.0}),
                    taps=taps,
                )
            )
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def _container(self) -> str:
        if not self.existing:
            assert self.options.target is not None
            return container_url(self.options.target)
        self._playback = Playback(
            self.existing,
            mode=self.options.compare,
            beyond=self._relay if self.records else None,
        )
        await self._exits.enter_async_context(self._playback)
        return self._playback.url

    async def finish(self, *, keep: bool) -> list[str]:
        """Stop; gives what is wrong, line by line.

        Args:
            keep: keep what was recorded: the test passed.
        """
        await self.emulator.stop(grace=STOP_SECONDS)
        problems = []
        if self._playback is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._playback.wait_for_open()
            problems += self._replayed(self._playback)
        if self._recorder is not None:
            problems += self._keep(keep=keep)
        await self._exits.aclose()
        return problems

    def _replayed(self, playback: Playback) -> list[str]:
        problems = []
        for played in playback.played:
            if not played.alike:
                problems += played_lines(played, self.options.compare)
        there = len(self.existing)
        if len(playback.played) < there:
            problems.append(
                f"the recording {self.options.name!r} was not played to its end: "
                f"{len(playback.played)} of its {there} sessions were opened"
            )
        if playback.refused:
            problems.append(
                f"the recording {self.options.name!r} has {there} sessions; {playback.refused} "
                "more were asked for; --bidi-record-mode new records them"
            )
        return problems

    def _keep(self, *, keep: bool) -> list[str]:
        assert self._recorder is not None
        # The first ones went through it too, from the recordings that there are.
        made = sorted(self._recorder.written)[len(self.existing) :]
        if not made and not self.existing:
            return [f"nothing was recorded for {self.options.name!r}: no session was opened"]
        if not keep:
            return []
        if self.options.mode == "all":
            for recording in _existing(self.options):
                recording.path.unlink()
        self.options.folder.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(made, len(self.existing) + 1):
            _path(self.options, number).write_bytes(path.read_bytes())
        return []

    async def _relay(self, connection: FrameSocket) -> None:
        assert self.options.target is not None
        clock = RealClock()
        try:
            link = await Target.parse(self.options.target).open("", clock)
        except TargetRefused as refused:
            await connection.close(1011, str(refused)[:100])
            return
        try:
            await first_of(_up(connection, link), _down(connection, link))
        finally:
            link.close(1000, "", discard=True)
            await link.wait_closed(clock)


async def _up(connection: FrameSocket, link: Link) -> None:
    while (frame := await connection.receive()) is not None:
        opcode = Opcode(int(frame.opcode))
        if opcode in DATA:
            link.send(Frame(opcode, bytes(frame.data), frame.fin))
            await link.drain()


async def _down(connection: FrameSocket, link: Link) -> None:
    while True:
        received = await link.receive()
        if isinstance(received, Closed):
            await connection.close(received.code if received.code >= 3000 else 1000)
            return
        for frame in received:
            if frame.opcode in DATA:
                await connection.send(WireOpcode(int(frame.opcode)), frame.payload, fin=frame.fin)


def _path(options: CassetteOptions, number: int) -> Path:
    suffix = "" if number == 1 else f"-{number}"
    return options.folder / f"{options.name}{suffix}{SUFFIX}"


def _existing(options: CassetteOptions) -> list[Recording]:
    found = []
    number = 1
    while (path := _path(options, number)).exists():
        found.append(read_recording(path))
        number += 1
    return found
