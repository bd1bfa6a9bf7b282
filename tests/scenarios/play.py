"""Plays scenarios through releases of the AWS SDK, and gathers what each side saw."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sagemaker_bidi import Config, Emulator, ManualClock, Passage, Tap
from sagemaker_bidi.config import load_config
from sagemaker_bidi.contract.outputs import CloseContainer, Ending
from sagemaker_bidi.environment import client_environment
from sagemaker_bidi.scenarios import Scenario, scenarios
from sagemaker_bidi.transport.identity import load_identity
from sagemaker_bidi_bridge.server import BridgeServer
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.vllm.server import StandInVLLM
from tests.bridge.peers import settings_for
from tests.scenarios.facts import Facts
from tests.scenarios.runs import Run, run_of
from tests.sdk.environments import python_with

RELEASES = ("0.4.0", "newest")
# How many scenarios are played at the same time on one release.
SIDE_BY_SIDE = 4
LIMIT_SECONDS = 90.0
END_SECONDS = 1.0
# What the scenarios that slow the way down add to each round trip, at least.
ROUND_TRIP = 0.1


class Observer:
    """A process that plays clients on one release of the SDK."""

    def __init__(self, release: str, environment: dict[str, str]) -> None:
        self.release = release
        self.version = ""
        self._environment = environment
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Facts]] = {}

    async def __aenter__(self) -> Self:
        python = await asyncio.to_thread(python_with, self.release)
        self._process = await asyncio.create_subprocess_exec(
            *(str(python), "-W", "ignore", str(Path(__file__).with_name("observer.py"))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **self._environment},
            limit=1024 * 1024,
        )
        assert self._process.stdout is not None
        self.version = json.loads(await self._process.stdout.readline())["sdk"]
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            report = json.loads(line)
            self._waiting.pop(report.pop("id")).set_result(report)
        for waiting in self._waiting.values():
            if waiting.done():
                continue  # Nobody waits any more: what failed first is told.
            waiting.set_exception(RuntimeError(f"the SDK {self.release}'s process has ended"))

    async def play(self, job: dict[str, Any]) -> Facts:
        """Have a client played; gives its report."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, **job}).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(LIMIT_SECONDS):
            report = await self._waiting[number]
        assert "failed" not in report, report
        return report


@dataclass
class Watch(Tap):
    """What the emulator told the containers at the end, and when sessions have ended."""

    closes: list[str] = field(default_factory=list)
    ends: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def passed(self, session_id: str, passage: Passage) -> None:
        match passage.item:
            case CloseContainer(code, reason) if passage.direction == "sent":
                self.closes.append(f"{code} {reason}".strip())

    def ended(self, session_id: str, ending: Ending | None, at: float) -> None:
        self.ends += 1
        self.changed.set()

    async def all_ended(self, sessions: int) -> None:
        """Wait for the ends of sessions; not for long, as some stay open by design."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while self.ends < sessions:
                    self.changed.clear()
                    await self.changed.wait()


@dataclass
class Containers:
    """The containers that all runs share."""

    echo: EchoContainer
    bridge: BridgeServer
    strict: BridgeServer

    def url(self, run: Run) -> str:
        """The address of a run's container."""
        match run.container:
            case "echo":
                return self.echo.url
            case "vllm":
                return self.bridge.url
            case "strict-vllm":
                return self.strict.url


@asynccontextmanager
async def containers() -> AsyncIterator[Containers]:
    """Start them."""
    async with (
        EchoContainer(port=0) as echo,
        StandInVLLM(port=0) as vllm,
        BridgeServer(settings_for(f"{vllm.url}/v1/realtime")) as bridge,
        BridgeServer(settings_for(f"{vllm.url}/v1/realtime", strict_data_type=True)) as strict,
    ):
        yield Containers(echo, bridge, strict)


async def play(scenario: Scenario, observer: Observer, shared: Containers) -> Facts:
    """Play a scenario on one release; gives what client and emulator saw.

    Raises:
        AssertionError: a session's account does not balance.
    """
    run = run_of(scenario)
    watch = Watch()
    clock = ManualClock() if run.clock == "driven" or scenario.name == "ping-slow" else None
    # Containers on a busy machine get more time than O3 gives.
    base: dict[str, Any] = {"port": 0, "contract": {"accept_seconds": 10.0}}
    changes = scenario.config_overrides(**run.parameters)
    contract = {**base["contract"], **changes.get("contract", {})}
    config: Config = load_config(overrides={**base, **changes, "contract": contract})
    plan = scenario.plan(**run.parameters)
    emulator = Emulator(
        {"voxtral": shared.url(run)},
        config=config,
        clock=clock,
        taps=[watch],
        plans=[plan] if plan.rules else [],
    )
    async with emulator:
        if scenario.name == "ping-slow":
            assert clock is not None
            while emulator.status("voxtral")["AllTraffic"] == "InService":
                await clock.advance(1.0)
                await asyncio.sleep(0.001)
        playing = asyncio.create_task(observer.play(run.job(emulator.url)))
        while run.clock == "driven" and not playing.done():
            assert clock is not None
            if any(session.ending is None for session in emulator.sessions):
                await clock.advance(1.0)
            await asyncio.sleep(0.001)
        report = await playing
        await watch.all_ended(len(emulator.sessions))
        ended = [
            "open" if ending is None else f"{ending.by} ({ending.clause})"
            for ending in (session.ending for session in emulator.sessions)
        ]
        closes = sorted(watch.closes)
    for session in emulator.sessions:
        assert session.account.balanced, f"{scenario.name}: {session.account}"
    facts: Facts = {"client": [_settled(entries) for entries in report["sessions"]]}
    if run.round_trip:
        # How much more it was is the machine's matter.
        facts["round_trip_at_least"] = min(ROUND_TRIP, report["round_trip"])
    if run.losses:
        # Of what was under way, how much was where hangs on chance.
        facts["output_lost"] = any(
            loss.way == "output" for session in emulator.sessions for loss in session.lost
        )
    if ended:
        facts["ended_by"] = ended
    if closes:
        facts["close_for_the_container"] = closes
    if run.clock == "driven":
        facts["emulated_seconds"] = [
            round((session.closed_at or 0.0) - session.opened_at) for session in emulator.sessions
        ]
    if metering := [session.metering for session in emulator.sessions if session.metering]:
        facts["metering"] = metering
    return facts


def _settled(value: Any) -> Any:
    """Without what differs from run to run: ports, request ids."""
    match value:
        case {"type": "transcription.delta", "count": _, **rest}:
            # How many of them overtake a fault hangs on how they were packed; the words do not.
            return {"type": "transcription.delta", **rest}
        case dict():
            return {key: _settled(item) for key, item in value.items()}
        case list():
            return [_settled(item) for item in value]
        case str():
            value = re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:8443", value)
            return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "REQUEST-ID", value)
        case _:
            return value


async def play_all(names: Sequence[str] = (), releases: Sequence[str] = RELEASES) -> Facts:
    """Play scenarios on releases, several at a time.

    Gives `scenarios`, the facts by name and release, and `versions` of the releases.

    Args:
        names: all that need nothing else, unless given.
    """
    chosen = [each for each in scenarios() if not each.needs and (not names or each.name in names)]
    # The slow ones first, so that nothing is left to wait for at the end.
    chosen.sort(key=lambda each: -run_of(each).patience)
    found: dict[str, Facts] = {each.name: {} for each in chosen}
    identity = load_identity()
    environment = client_environment("https://127.0.0.1:0", identity.ca, identity.bundle, None)
    trust = dict(environment.variables)
    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(containers())
        observers = [
            await stack.enter_async_context(Observer(release, trust)) for release in releases
        ]

        async def work(observer: Observer, queue: list[Scenario]) -> None:
            while queue:
                each = queue.pop(0)
                found[each.name][observer.release] = await play(each, observer, shared)

        async with asyncio.TaskGroup() as group:
            for observer in observers:
                queue = list(chosen)
                for _ in range(SIDE_BY_SIDE):
                    group.create_task(work(observer, queue))
    return {
        "versions": {observer.release: observer.version for observer in observers},
        "scenarios": found,
    }
