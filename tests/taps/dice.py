"""Plans and client scripts drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import get_args

from emulator.taps.faults import FAULTS, AnyFault
from emulator.taps.faults.bandwidth import Bandwidth
from emulator.taps.faults.close_container import CloseContainer
from emulator.taps.faults.codes import CodeName
from emulator.taps.faults.corrupt import Corrupt
from emulator.taps.faults.delay import Delay
from emulator.taps.faults.delay_pongs import DelayPongs
from emulator.taps.faults.drop import Drop
from emulator.taps.faults.duplicate import Duplicate
from emulator.taps.faults.end import End
from emulator.taps.faults.goaway import Goaway
from emulator.taps.faults.hold import Hold
from emulator.taps.faults.ignore_pings import IgnorePings
from emulator.taps.faults.inject_error import InjectError
from emulator.taps.faults.inject_event import InjectEvent
from emulator.taps.faults.inject_frame import InjectFrame
from emulator.taps.faults.kill_container import KillContainer
from emulator.taps.faults.never_headers import NeverHeaders
from emulator.taps.faults.refuse import Refuse
from emulator.taps.faults.refuse_upgrade import RefuseUpgrade
from emulator.taps.faults.replace import Replace
from emulator.taps.faults.reset_stream import ResetStream
from emulator.taps.faults.silence import Silence
from emulator.taps.faults.slow_accept import SlowAccept
from emulator.taps.faults.stop_reading import StopReading
from emulator.taps.faults.tcp_reset import TcpReset
from emulator.taps.faults.truncate import Truncate
from emulator.taps.faults.withhold_window import WithholdWindow
from emulator.taps.plan import Plan, Rule, When, points_of

DRAWN: list[Callable[[random.Random], AnyFault]] = [
    lambda dice: Delay(dice.uniform(0, 0.02), dice.uniform(0, 0.02)),
    lambda dice: Delay(3600.0),
    lambda dice: Bandwidth(dice.choice([100.0, 100_000.0])),
    lambda dice: Hold(),
    lambda dice: Drop(),
    lambda dice: Duplicate(dice.randint(1, 3)),
    lambda dice: Corrupt(dice.choice(["payload", "message-crc", "prelude-crc", "header"])),
    lambda dice: Truncate(dice.randint(1, 200)),
    lambda dice: Replace(text="x" * dice.choice([0, 1, 5000])),
    lambda dice: Replace(data_type="BINARY"),
    lambda dice: InjectError(ends=dice.random() < 0.5, code="Drawn"),
    lambda dice: InjectEvent("SomethingNew", text="x" * dice.choice([0, 5000])),
    lambda dice: InjectFrame(text="drawn"),
    lambda dice: StopReading(),
    lambda dice: WithholdWindow(),
    lambda dice: IgnorePings(),
    lambda dice: DelayPongs(dice.uniform(0, 0.02)),
    lambda dice: CloseContainer(dice.choice([1000, 1001, 1005, 1006, 1008, 1011])),
    lambda dice: KillContainer(),
    lambda dice: ResetStream(dice.choice(get_args(CodeName.__value__))),
    lambda dice: Goaway(),
    lambda dice: TcpReset(),
    lambda dice: Silence(),
    lambda dice: End(),
    lambda dice: Refuse(400, "ThrottlingException", "Rate exceeded"),
    lambda dice: RefuseUpgrade(dice.choice([0.0, 0.02])),
    lambda dice: SlowAccept(dice.choice([0.01, 0.02]), allowed=0.015),
    lambda dice: NeverHeaders(),
]


def draw_plan(dice: random.Random, name: str) -> Plan:
    """One to four rules, each for some of the sessions."""
    return Plan(name, tuple(draw_rule(dice) for _ in range(dice.randint(1, 4))), dice.randrange(99))


def draw_rule(dice: random.Random) -> Rule:
    """A fault, at one of the points where it can act."""
    fault = dice.choice(DRAWN)(dice)
    point = dice.choice(points_of(fault))
    probability = dice.choice([0.1, 0.3, 1.0])
    if point == "opening":
        return Rule(fault, When(point, after=dice.randrange(3), probability=probability))
    if point == "opened":
        return Rule(fault, When(point, at=dice.uniform(0, 0.05), probability=probability))
    return Rule(
        fault,
        When(
            point,
            after=dice.randrange(3),
            kind=dice.choice(getattr(fault, "kinds", ("data", "data", "any"))),
            probability=probability,
            times=dice.choice([None, 1]),
            sessions=dice.choice([None, 5]),
        ),
    )


def not_drawn() -> set[str]:
    """The registered faults that no plan here holds."""
    dice = random.Random(0)
    return set(FAULTS) - {make(dice).name for make in DRAWN}
