"""A session that notes what it is told, for taps without any I/O."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from h2.errors import ErrorCodes

from sagemaker_bidi import ManualClock
from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.frames import UTF8, Frame, Opcode, Part
from sagemaker_bidi.faults.engine import Faults
from sagemaker_bidi.faults.kinds import AnyFault
from sagemaker_bidi.faults.plan import Plan, Rule, When
from sagemaker_bidi.tap import Direction, Item, Later, Passage, Raw, Side, unwrapped

SIDES: dict[str, tuple[Side, Direction]] = {
    "to-client": ("client", "sent"),
    "to-container": ("container", "sent"),
    "from-container": ("container", "received"),
}


@dataclass(eq=False)
class NotedSession:
    """A session, or an invocation, that keeps the commands it is given."""

    id: str
    clock: ManualClock
    endpoint: str = "echo"
    variant: str = "AllTraffic"
    container_path: str = "/invocations-bidirectional-stream"
    target: str = "ws://127.0.0.1:8080"
    user_agent: str = ""
    opened_at: float = 0.0
    commands: list[tuple[object, ...]] = field(default_factory=list)

    def reset_stream(self, code: ErrorCodes) -> None:
        self.commands.append(("reset_stream", code))

    def goaway(self, code: ErrorCodes) -> None:
        self.commands.append(("goaway", code))

    def abort_client(self) -> None:
        self.commands.append(("abort_client",))

    def silence_client(self, until: asyncio.Event) -> None:
        self.commands.append(("silence_client",))

    def withhold_window(self, withheld: bool) -> None:
        self.commands.append(("withhold_window", withheld))

    def send_to_client(self, item: Part | StreamError | Raw) -> None:
        self.commands.append(("send_to_client", item))

    def send_to_container(self, frame: Frame) -> None:
        self.commands.append(("send_to_container", frame))

    def end(self, error: StreamError | None, why: str) -> None:
        self.commands.append(("end", error))

    async def flushed(self) -> None:
        return

    def container_closed(self, code: int, reason: str) -> None:
        self.commands.append(("container_closed", code, reason))

    def abort_container(self) -> None:
        self.commands.append(("abort_container",))

    def stop_reading_container(self, stopped: bool) -> None:
        self.commands.append(("stop_reading_container", stopped))

    def receive_pong(self, pong: Frame) -> None:
        self.commands.append(("receive_pong", pong.payload))

    def receive_metering(self, frame: Frame) -> None:
        self.commands.append(("receive_metering", frame.payload))

    def ignore_pings(self, ignored: bool) -> None:
        self.commands.append(("ignore_pings", ignored))


@dataclass
class Stage:
    """The faults under test, with a clock and sessions that they act on."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(utc=0.0))
    faults: Faults = field(default_factory=Faults)
    sessions: dict[str, NotedSession] = field(default_factory=dict)

    def play(self, *rules: Rule, name: str = "plan", seed: int = 0) -> None:
        """Put a plan into force."""
        self.faults.add(Plan(name, rules, seed))

    async def arrive(self, name: str, endpoint: str = "echo", variant: str = "v") -> NotedSession:
        """An invocation; `Refused` comes out of here."""
        session = NotedSession(name, self.clock, endpoint, variant, opened_at=self.clock.now())
        self.sessions[name] = session
        await self.faults.opening(session)
        return session

    async def open(
        self, name: str = "s", endpoint: str = "echo", variant: str = "v"
    ) -> NotedSession:
        """An open session."""
        session = await self.arrive(name, endpoint, variant)
        self.faults.opened(session)
        await settle()
        return session

    async def send(self, item: Item, point: str = "to-client", session: str = "s") -> list[Item]:
        """Have something pass; gives what crosses, once it does."""
        passed = await self.pass_through(item, point, session)
        return [await self.let_cross(each, point, session) for each in passed]

    async def let_cross(
        self, passed: Item | Later, point: str = "to-client", session: str = "s"
    ) -> Item:
        """Have something cross, once its time has come."""
        late, item = unwrapped(passed)
        if late is not None:
            await late.due()
        side, direction = SIDES[point]
        self.faults.passed(session, Passage(self.clock.now(), side, direction, item))
        await settle()
        return item

    async def pass_through(
        self, item: Item, point: str = "to-client", session: str = "s"
    ) -> list[Item | Later]:
        """What the faults make of an item, without waiting for what is late."""
        side, direction = SIDES[point]
        passage = Passage(self.clock.now(), side, direction, item)
        return list(await self.faults.passing(self.sessions[session], passage))

    def end(self, session: str = "s") -> None:
        """The session is over."""
        self.faults.ended(session, None, self.clock.now())


async def settle() -> None:
    """Let everything run that is ready to."""
    for _ in range(5):
        await asyncio.sleep(0)


def rule(fault: AnyFault, point: str = "to-client", **when: object) -> Rule:
    """A rule in few words."""
    return Rule(fault, When(point, **when))  # type: ignore[arg-type]


def part(text: str = "hello") -> Part:
    """A part as a container's text frame makes it."""
    return Part(text.encode(), UTF8, "COMPLETE")


def text(payload: str = "hello") -> Frame:
    """A text frame."""
    return Frame(Opcode.TEXT, payload.encode())
