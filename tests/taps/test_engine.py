"""When rules act: counted, typed, drawn, timed, on whom, and until they are removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest

from emulator.contract.errors import Refused, StreamError, service_unavailable
from emulator.contract.frames import Frame, Opcode, Part
from emulator.contract.outputs import CloseContainer
from emulator.taps.faults import Scene
from emulator.taps.faults.bandwidth import Bandwidth
from emulator.taps.faults.close_container import CloseContainer as Closes
from emulator.taps.faults.corrupt import Corrupt
from emulator.taps.faults.delay import Delay
from emulator.taps.faults.delay_pongs import DelayPongs
from emulator.taps.faults.drop import Drop
from emulator.taps.faults.duplicate import Duplicate
from emulator.taps.faults.hold import Hold
from emulator.taps.faults.ignore_pings import IgnorePings
from emulator.taps.faults.inject_error import InjectError
from emulator.taps.faults.kill_container import KillContainer
from emulator.taps.faults.never_headers import NeverHeaders
from emulator.taps.faults.refuse import Refuse
from emulator.taps.faults.replace import Replace
from emulator.taps.faults.stop_reading import StopReading
from emulator.taps.faults.withhold_window import WithholdWindow
from emulator.taps.plan import Rule, When
from emulator.taps.tap import Item, TappedSession
from tests.taps.stage import Stage, part, rule, settle, text

REFUSE = Refuse(400, "ThrottlingException", "Rate exceeded")
REFUSE_REFUSAL = service_unavailable("", "")


async def numbered(stage: Stage, count: int, session: str = "s") -> list[str]:
    """Send parts "0", "1", …; gives the payloads that crossed."""
    crossed: list[str] = []
    for number in range(count):
        crossed += payloads(await stage.send(part(str(number)), session=session))
    return crossed


def payloads(items: Sequence[Item]) -> list[str]:
    return [item.payload.decode() for item in items if isinstance(item, Part | Frame)]


# Which items.


async def test_an_item_fault_leaves_the_first_items_alone_and_acts_so_many_times() -> None:
    stage = Stage()
    stage.play(rule(Drop(), after=2, times=3))
    await stage.open()

    assert await numbered(stage, 8) == ["0", "1", "5", "6", "7"]


async def test_each_session_counts_its_own_items() -> None:
    stage = Stage()
    stage.play(rule(Drop(), after=1, times=1))
    await stage.open("a")
    await stage.open("b")

    assert await numbered(stage, 3, "a") == ["0", "2"]
    assert await numbered(stage, 3, "b") == ["0", "2"]


async def test_a_session_fault_acts_once_so_many_items_have_crossed() -> None:
    stage = Stage()
    stage.play(rule(KillContainer(), after=2))
    session = await stage.open()

    await stage.send(part("first"))
    assert session.commands == []
    assert payloads(await stage.send(part("second"))) == ["second"]
    assert session.commands == [("abort_container",)]


async def test_a_session_fault_without_after_acts_before_the_first_item_crosses() -> None:
    stage = Stage()
    stage.play(rule(KillContainer()))
    session = await stage.open()

    await stage.pass_through(part())
    assert session.commands == [("abort_container",)]


async def test_a_session_fault_acts_once_unless_times_says_more() -> None:
    stage = Stage()
    error = InjectError(code="Once", ends=False)
    stage.play(rule(error, after=1), name="once")
    stage.play(rule(InjectError(code="Twice", ends=False), after=1, times=2), name="twice")
    session = await stage.open()
    await numbered(stage, 5)

    sent = [item.code for _, item in session.commands if isinstance(item, StreamError)]
    assert sorted(sent) == ["Once", "Twice", "Twice"]


async def test_a_type_is_that_of_the_payloads_json() -> None:
    stage = Stage()
    stage.play(rule(Drop(), type="transcription.delta"))
    await stage.open()

    assert await stage.send(part('{"type":"transcription.delta"}')) == []
    for other in ('{"type":"transcription.done"}', "no JSON", "[]", '{"type":7}', "[" * 100_000):
        assert await stage.send(part(other)) != []


@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        ("data", [text(), Frame(Opcode.BINARY), Frame(Opcode.CONT)]),
        ("ping", [Frame(Opcode.PING)]),
        ("pong", [Frame(Opcode.PONG)]),
        ("close", [CloseContainer(1000)]),
        ("error", [StreamError("ModelStreamError", "", "")]),
    ],
)
async def test_a_kind_is_what_a_rule_concerns(kind: str, fits: list[Item]) -> None:
    stage = Stage()
    stage.play(rule(Drop(), "to-container", kind=kind))
    await stage.open()
    everything: list[Item] = [
        text(),
        Frame(Opcode.BINARY),
        Frame(Opcode.CONT),
        Frame(Opcode.PING),
        Frame(Opcode.PONG),
        CloseContainer(1000),
        StreamError("ModelStreamError", "", ""),
    ]

    dropped = [item for item in everything if not await stage.send(item, "to-container")]
    assert dropped == fits


async def test_a_rule_acts_at_its_point_alone() -> None:
    stage = Stage()
    stage.play(rule(Drop(), "from-container"))
    await stage.open()

    assert await stage.send(text(), "from-container") == []
    assert await stage.send(text(), "to-container") == [text()]
    assert await stage.send(part()) == [part()]


async def test_rules_act_in_their_order_on_what_is_left_of_an_item() -> None:
    stage = Stage()
    stage.play(
        rule(Duplicate(2)), rule(Replace(text="first"), times=1), rule(Drop(), after=1, times=1)
    )
    await stage.open()

    assert payloads(await stage.send(part("x"))) == ["first", "x"]


# On whom.


async def test_a_rule_concerns_its_endpoint_and_variant_alone() -> None:
    stage = Stage()
    stage.play(rule(Drop(), endpoint="voxtral", variant="blue"))
    await stage.open("a", "voxtral", "blue")
    await stage.open("b", "voxtral", "green")
    await stage.open("c", "other", "blue")

    assert await numbered(stage, 1, "a") == []
    assert await numbered(stage, 1, "b") == ["0"]
    assert await numbered(stage, 1, "c") == ["0"]


async def test_so_many_sessions_are_met_and_those_of_other_endpoints_do_not_count() -> None:
    stage = Stage()
    stage.play(rule(Drop(), sessions=2, endpoint="voxtral"))
    await stage.open("other", "other")
    for name in "abc":
        await stage.open(name, "voxtral")

    assert [await numbered(stage, 1, name) for name in "abc"] == [[], [], ["0"]]


async def test_an_invocation_that_was_refused_is_no_session_that_a_rule_meets() -> None:
    stage = Stage()
    stage.play(rule(Drop(), sessions=1))
    refused = await stage.arrive("refused")
    stage.faults.refused(refused.id, REFUSE_REFUSAL, 0.0)
    await stage.open()

    assert await numbered(stage, 1) == []


async def test_at_the_opening_after_and_sessions_count_invocations() -> None:
    stage = Stage()
    stage.play(rule(REFUSE, "opening", after=1, sessions=2))
    outcomes = []
    for name in "abcde":
        try:
            await stage.arrive(name)
            outcomes.append("taken")
        except Refused:
            outcomes.append("refused")

    assert outcomes == ["taken", "refused", "refused", "taken", "taken"]


# Chance.


async def run_of(seed: int, order: Sequence[str]) -> dict[str, list[str]]:
    """What three sessions saw whose parts passed in `order`."""
    stage = Stage()
    stage.play(
        rule(Drop(), probability=0.3), rule(Corrupt(), probability=0.3), name="dice", seed=seed
    )
    for name in "abc":
        await stage.open(name)
    seen: dict[str, list[str]] = {name: [] for name in "abc"}
    for number, name in enumerate(order):
        sent = part(f"{name}{order[:number].count(name):04}")
        for crossed in await stage.send(sent, session=name):
            assert isinstance(crossed, Part)
            seen[name].append(crossed.payload.hex())
    return seen


async def test_the_same_seed_makes_the_same_run_whatever_the_sessions_do_side_by_side() -> None:
    one_by_one = await run_of(7, "a" * 30 + "b" * 30 + "c" * 30)
    in_turn = await run_of(7, "cab" * 30)
    backwards = await run_of(7, "c" * 30 + "b" * 30 + "a" * 30)

    assert one_by_one == in_turn == backwards
    assert 5 < len(one_by_one["a"]) < 30
    assert [len(seen) for seen in one_by_one.values()] != [len(one_by_one["a"])] * 3


async def test_another_seed_makes_another_run() -> None:
    assert await run_of(7, "abc" * 30) != await run_of(8, "abc" * 30)


async def test_a_rule_of_probability_0_never_acts() -> None:
    stage = Stage()
    stage.play(rule(Drop(), probability=0.0), rule(REFUSE, "opening", probability=0.0))
    await stage.open()

    assert len(await numbered(stage, 50)) == 50


# Time.


async def test_a_timed_rule_acts_at_its_time_after_the_stream_opened() -> None:
    stage = Stage()
    await stage.clock.advance(100.0)
    stage.play(rule(KillContainer(), "opened", at=20.0))
    session = await stage.open()
    await stage.clock.advance(19.9)
    assert session.commands == []

    await stage.clock.advance(0.1)
    assert session.commands == [("abort_container",)]


async def test_a_timed_rule_of_a_plan_that_comes_late_acts_at_once() -> None:
    stage = Stage()
    session = await stage.open()
    await stage.clock.advance(30.0)
    stage.play(rule(KillContainer(), "opened", at=20.0))
    await settle()

    assert session.commands == [("abort_container",)]


async def test_a_timed_rule_whose_session_is_over_does_not_act() -> None:
    stage = Stage()
    stage.play(rule(KillContainer(), "opened", at=20.0))
    session = await stage.open()
    stage.end()
    await stage.clock.advance(30.0)

    assert session.commands == []


async def test_a_delay_makes_items_late_without_slowing_their_rate() -> None:
    stage = Stage()
    stage.play(rule(Delay(2.0)))
    await stage.open()
    late = []
    for _ in range(3):
        [each] = await stage.pass_through(part())
        late.append(each)
        await stage.clock.advance(0.5)

    assert [each.at for each in late] == [2.0, 2.5, 3.0]  # type: ignore[union-attr]


async def test_delays_in_a_row_add_up() -> None:
    stage = Stage()
    stage.play(rule(Delay(2.0)), rule(Delay(3.0)))
    await stage.open()

    assert await due_at(stage, part()) == 5.0


async def test_a_slow_line_takes_its_time_for_the_bytes_and_makes_up_for_no_idle_time() -> None:
    stage = Stage()
    stage.play(rule(Bandwidth(10.0)))
    await stage.open()
    assert await due_at(stage, part("x" * 20)) == 2.0
    assert await due_at(stage, part("x" * 10)) == 3.0

    await stage.clock.advance(10.0)
    assert await due_at(stage, part("x" * 10)) == 11.0


async def test_the_bytes_of_a_slow_line_begin_when_a_delay_is_over() -> None:
    stage = Stage()
    stage.play(rule(Delay(5.0)), rule(Bandwidth(10.0)))
    await stage.open()

    assert await due_at(stage, part("x" * 10)) == 6.0
    assert await due_at(stage, part("x" * 10)) == 7.0


async def test_jitter_is_drawn_from_the_seed_within_its_bounds() -> None:
    async def times(seed: int) -> list[float]:
        stage = Stage()
        stage.play(rule(Delay(1.0, jitter=0.5)), seed=seed)
        await stage.open()
        return [await due_at(stage, part()) for _ in range(50)]

    drawn = await times(1)
    assert all(0.5 <= each <= 1.5 for each in drawn)
    assert max(drawn) - min(drawn) > 0.5
    assert drawn == await times(1)
    assert drawn != await times(2)


async def due_at(stage: Stage, item: Item) -> float:
    [late] = await stage.pass_through(item)
    at = late.at  # type: ignore[union-attr]
    assert isinstance(at, float)
    return at


async def test_pongs_that_are_delayed_let_all_else_pass() -> None:
    stage = Stage()
    stage.play(rule(DelayPongs(70.0), "from-container", kind="pong"))
    session = await stage.open()
    assert await stage.send(Frame(Opcode.PONG, b"1"), "from-container") == []
    assert await stage.send(text(), "from-container") == [text()]
    await stage.clock.advance(69.0)
    assert session.commands == []

    await stage.clock.advance(1.0)
    assert session.commands == [("receive_pong", b"1")]


# Removal.


@pytest.mark.parametrize(
    "fault", [Delay(1000.0), Bandwidth(0.001), Hold()], ids=["delay", "bandwidth", "hold"]
)
async def test_on_removal_what_waits_passes_at_once_and_nothing_is_lost(fault: Delay) -> None:
    stage = Stage()
    stage.play(rule(fault))
    await stage.open()
    waiting = [asyncio.create_task(stage.send(part(str(number)))) for number in range(3)]
    await settle()
    assert not any(task.done() for task in waiting)

    stage.faults.remove("plan")
    async with asyncio.timeout(1):
        assert payloads([item for task in waiting for item in await task]) == ["0", "1", "2"]
    assert stage.clock.now() == 0.0
    assert await numbered(stage, 1) == ["0"]


async def test_on_removal_an_invocation_that_waits_is_taken() -> None:
    stage = Stage()
    stage.play(rule(NeverHeaders(), "opening"))
    arriving = asyncio.create_task(stage.arrive("s"))
    await settle()
    assert not arriving.done()

    stage.faults.remove("plan")
    async with asyncio.timeout(1):
        await arriving


async def test_on_removal_late_pongs_arrive_and_timed_rules_stay_away() -> None:
    stage = Stage()
    stage.play(
        rule(DelayPongs(70.0), "from-container", kind="pong"),
        rule(KillContainer(), "opened", at=5.0),
    )
    session = await stage.open()
    await stage.send(Frame(Opcode.PONG, b"1"), "from-container")
    stage.faults.remove("plan")
    await settle()
    await stage.clock.advance(100.0)

    assert session.commands == [("receive_pong", b"1")]


@pytest.mark.parametrize(
    ("fault", "command"),
    [
        (StopReading(), "stop_reading_container"),
        (WithholdWindow(), "withhold_window"),
        (IgnorePings(), "ignore_pings"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_switch_goes_back_on_removal(fault: StopReading, command: str) -> None:
    stage = Stage()
    stage.play(rule(fault, times=3))
    session = await stage.open()
    await numbered(stage, 3)
    assert session.commands == [(command, True)]

    stage.faults.remove("plan")
    assert session.commands == [(command, True), (command, False)]


async def test_a_switch_stays_on_for_as_long_as_another_plan_keeps_it_on() -> None:
    stage = Stage()
    stage.play(rule(StopReading()), name="one")
    stage.play(rule(StopReading()), name="two")
    session = await stage.open()
    await numbered(stage, 1)
    stage.faults.remove("one")
    assert ("stop_reading_container", False) not in session.commands

    stage.faults.remove("two")
    assert session.commands[-1] == ("stop_reading_container", False)


async def test_a_session_that_is_over_is_switched_no_more() -> None:
    stage = Stage()
    stage.play(rule(StopReading()))
    session = await stage.open()
    await numbered(stage, 1)
    stage.end()
    stage.faults.remove("plan")

    assert session.commands == [("stop_reading_container", True)]


async def test_a_plan_that_comes_late_meets_the_sessions_that_are_open() -> None:
    stage = Stage()
    await stage.open()
    stage.play(rule(Drop()))
    assert await numbered(stage, 1) == []

    stage.faults.remove("plan")
    assert await numbered(stage, 1) == ["0"]


async def test_the_tap_is_idle_unless_something_acts_on_what_passes() -> None:
    stage = Stage()
    idle = [stage.faults.idle]
    stage.play(rule(REFUSE, "opening"), rule(KillContainer(), "opened"), name="elsewhere")
    idle.append(stage.faults.idle)
    stage.play(rule(Drop()))
    idle.append(stage.faults.idle)
    stage.faults.remove("plan")
    idle.append(stage.faults.idle)

    assert idle == [True, True, False, True]


def test_two_plans_of_one_name_are_refused_and_so_is_the_removal_of_none() -> None:
    stage = Stage()
    stage.play(rule(Drop()))
    with pytest.raises(ValueError, match="'plan' is in force already; remove it first"):
        stage.play(rule(Drop()))
    with pytest.raises(KeyError, match="no plan named 'other' is in force; in force: plan"):
        stage.faults.remove("other")
    assert [plan.name for plan in stage.faults.plans] == ["plan"]


# What a fault may break.


@dataclass(frozen=True)
class _Broken:
    name: ClassVar[str] = "broken"

    async def act(self, session: TappedSession, scene: Scene) -> None:
        raise RuntimeError("a bug in a fault")


async def test_a_fault_that_fails_beside_the_session_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.play(Rule(_Broken(), When("opened")))
    await stage.open()
    await settle()

    [record] = [each for each in caplog.records if each.name == "bidi.faults"]
    assert record.levelno == logging.ERROR
    assert "a bug in a fault" in caplog.text


async def test_nothing_is_kept_of_sessions_that_are_over() -> None:
    stage = Stage()
    stage.play(
        rule(Drop(), probability=0.5),
        rule(StopReading()),
        rule(Closes(), "opened", at=5.0),
        rule(Delay(1.0), "to-container"),
    )
    for number in range(20):
        await stage.open(str(number))
        await numbered(stage, 2, str(number))
        stage.end(str(number))
    await settle()

    assert stage.faults._watched == {}
    assert stage.faults._open == {}
    assert all(not active.removal._undo for active in stage.faults._active)
