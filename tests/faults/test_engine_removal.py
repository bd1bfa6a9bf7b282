"""What becomes of rules that are removed, come late or fail."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import ClassVar

import pytest

from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.faults.kinds import Scene
from sagemaker_bidi.faults.kinds.bandwidth import Bandwidth
from sagemaker_bidi.faults.kinds.close_container import CloseContainer as Closes
from sagemaker_bidi.faults.kinds.delay import Delay
from sagemaker_bidi.faults.kinds.delay_pongs import DelayPongs
from sagemaker_bidi.faults.kinds.drop import Drop
from sagemaker_bidi.faults.kinds.hold import Hold
from sagemaker_bidi.faults.kinds.ignore_pings import IgnorePings
from sagemaker_bidi.faults.kinds.kill_container import KillContainer
from sagemaker_bidi.faults.kinds.never_headers import NeverHeaders
from sagemaker_bidi.faults.kinds.stop_reading import StopReading
from sagemaker_bidi.faults.kinds.withhold_window import WithholdWindow
from sagemaker_bidi.faults.plan import Rule, When
from sagemaker_bidi.tap import TappedSession
from tests.faults.crossings import REFUSE, numbered, payloads
from tests.faults.stage import Stage, part, rule, settle


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
    async with asyncio.timeout(20):
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
    async with asyncio.timeout(20):
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


async def test_a_fault_that_fails_beside_the_session_is_logged_with_plan_rule_and_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.play(rule(Drop()), Rule(_Broken(), When("opened")), name="mine")
    await stage.open("abc")
    await settle()

    [record] = [each for each in caplog.records if each.name == "bidi.faults"]
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        "plan 'mine', rules[1] (broken), session abc: the fault failed: a bug in a fault"
    )


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
