"""10,000 sessions under random plans: nothing is left behind and every count adds up."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.contract.outputs import Ending
from sagemaker_bidi.faults.kinds import FAULTS
from sagemaker_bidi.session.account import Account
from sagemaker_bidi.tap import Tap, TappedSession
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.faults.dice import draw_plan, not_drawn
from tests.transport.lean_client import LIMIT_SECONDS, LeanClient, Lost
from tests.transport.world import names_of_other_tasks, open_sockets

# A shared machine is not SageMaker's: more time to accept than O3 gives.
ACCEPT_SECONDS = 10.0
SEED = 20_251_130
SESSIONS = 10_000
BATCH = 100
CONNECTIONS = 4
# How long nothing comes before no more is expected.
PATIENCE = 0.05
TURNS = 10


@dataclass
class Books(Tap):
    """Every session's account, from its opening to its end."""

    open: dict[str, Account] = field(default_factory=dict)
    ended_by: Counter[str] = field(default_factory=Counter)
    unbalanced: list[Account] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    refused_: int = 0

    def opened(self, session: TappedSession) -> None:
        self.open[session.id] = session.account  # type: ignore[attr-defined]

    def ended(self, session_id: str, ending: Ending | None, at: float) -> None:
        account = self.open.pop(session_id)
        self.ended_by["nobody" if ending is None else ending.by] += 1
        if not account.balanced:
            self.unbalanced.append(account)
        for way in (account.input, account.output):
            for why, tally in way.lost.items():
                self.lost[why] += tally.messages

    def abandoned(self, session_id: str, why: str, at: float) -> None:
        self.refused(session_id, None, at)

    def refused(self, session_id: str, refusal: object, at: float) -> None:
        self.refused_ += 1


@pytest.fixture
def errors() -> Iterator[list[str]]:
    """What the emulator logs as an error; its many warnings are what the plans ask for."""
    logger, found = logging.getLogger("bidi"), list[str]()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(logging.Formatter().format(record))

    handler, level, propagate = Keep(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    yield found
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.propagate = propagate


@asynccontextmanager
async def connections(emulator: Emulator, count: int) -> AsyncIterator[list[LeanClient]]:
    clients = [LeanClient(emulator.url, emulator.ca) for _ in range(count)]
    try:
        yield [await client.__aenter__() for client in clients]
    finally:
        for client in clients:
            await client.__aexit__(None, None, None)


async def play(client: LeanClient, dice: random.Random, given_up: asyncio.Event) -> None:
    """One client's session: open, speak, listen for a while, and end it in one way or another."""
    count, end = dice.randrange(4), dice.choice(["close", "close", "reset", "leave"])
    try:
        stream = await client.open()
        if dice.random() < 0.9:
            await until(client, lambda: bool(stream.headers) or stream.over, given_up)
        for _ in range(count):
            size = dice.choice([0, 1, 100, 3000])
            await stream.send(b"x" * size, "UTF8", dice.choice([None, "COMPLETE", "PARTIAL"]))
        await until(client, lambda: messages(stream.body) >= count or stream.over, given_up)
        if stream.over:
            return
        if end == "close":
            await stream.close_input()
            await until(client, lambda: stream.over, given_up)
        elif end == "reset":
            stream.cancel()
    except Lost:
        pass


async def quiet(clients: list[LeanClient], playing: list[asyncio.Task[None]]) -> None:
    """Wait until all is played, or nothing has come for a while."""

    def progress() -> tuple[int, ...]:
        streams = [stream for client in clients for stream in client.streams.values()]
        done = sum(task.done() for task in playing)
        return done, len(streams), sum(bool(s.headers) + len(s.body) + s.over for s in streams)

    before, still = progress(), 0
    while still < TURNS and not all(task.done() for task in playing):
        # Time alone says nothing: the machine may be busy with other sessions.
        await asyncio.sleep(PATIENCE / TURNS)
        still = still + 1 if progress() == before else 0
        before = progress()


async def until(client: LeanClient, condition: object, given_up: asyncio.Event) -> None:
    """Wait for a condition, or until nothing more is expected."""
    waits = [
        asyncio.ensure_future(client.until(condition)),
        asyncio.ensure_future(given_up.wait()),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def messages(body: bytes) -> int:
    """How many event-stream messages have come."""
    count = at = 0
    while len(body) >= at + 4 and (length := int.from_bytes(body[at : at + 4])) > 0:
        at += length
        count += at <= len(body)
    return count


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_ten_thousand_sessions_under_random_plans_leave_nothing_behind(
    errors: list[str],
) -> None:
    dice, books, sockets = random.Random(SEED), Books(), open_sockets()
    async with EchoContainer(port=0) as container:
        config = Config(port=0, health="off", contract={"accept_seconds": ACCEPT_SECONDS})
        async with Emulator({"echo": container.url}, config=config, taps=[books]) as emulator:
            before = asyncio.all_tasks()
            # Two at a time: while one waits for what its plan holds, the other has work.
            seeds = iter([dice.random() for _ in range(SESSIONS // BATCH)])
            await asyncio.gather(*(run_batches(emulator, seeds) for _ in range(2)))
            others = {task for task in asyncio.all_tasks() if task not in before}
            if others:
                await asyncio.wait(others, timeout=LIMIT_SECONDS)

            assert emulator._connections == set()
            assert emulator._invocations.open_sessions == 0
            assert emulator._invocations._tasks == set()
            assert emulator._faults._watched == {}
            assert emulator._faults._open == {}
    for _ in range(10):
        await asyncio.sleep(0)

    assert errors == []
    assert books.open == {}
    assert books.unbalanced == []
    assert names_of_other_tasks() == []
    assert open_sockets() - sockets == set()
    # It was no walk in the park.
    assert sum(books.ended_by.values()) + books.refused_ > SESSIONS * 0.9
    assert {"client", "container", "emulator"} <= set(books.ended_by)
    assert len(books.lost) >= 4
    assert books.refused_ > 100


async def run_batches(emulator: Emulator, seeds: Iterator[float]) -> None:
    for seed in seeds:
        await run_batch(emulator, random.Random(seed), f"plan {seed}")


async def run_batch(emulator: Emulator, dice: random.Random, name: str) -> None:
    """Some connections with many sessions each, under a plan that goes while they run."""
    emulator.faults.add(draw_plan(dice, name))
    given_up = asyncio.Event()
    async with connections(emulator, CONNECTIONS) as clients:
        playing = [
            asyncio.create_task(play(client, random.Random(dice.random()), given_up))
            for client in clients
            for _ in range(BATCH // CONNECTIONS)
        ]
        await quiet(clients, playing)
        emulator.faults.remove(name)
        await quiet(clients, playing)
        given_up.set()
        await asyncio.gather(*playing)


def test_every_fault_is_among_those_that_are_drawn() -> None:
    assert not_drawn() - NOT_HERE == set()
    assert set(FAULTS) >= NOT_HERE


# Their place is on the metadata stream, which these sessions have not.
NOT_HERE = {"inject-metering"}
