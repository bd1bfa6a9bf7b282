"""Plans and client scripts drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import get_args

from sagemaker_bidi.faults.codes import CodeName
from sagemaker_bidi.faults.kinds import FAULTS, AnyFault
from sagemaker_bidi.faults.kinds.bandwidth import Bandwidth
from sagemaker_bidi.faults.kinds.close_container import CloseContainer
from sagemaker_bidi.faults.kinds.corrupt import Corrupt
from sagemaker_bidi.faults.kinds.delay import Delay
from sagemaker_bidi.faults.kinds.delay_pongs import DelayPongs
from sagemaker_bidi.faults.kinds.drop import Drop
from sagemaker_bidi.faults.kinds.duplicate import Duplicate
from sagemaker_bidi.faults.kinds.end import End
from sagemaker_bidi.faults.kinds.goaway import Goaway
from sagemaker_bidi.faults.kinds.hold import Hold
from sagemaker_bidi.faults.kinds.ignore_pings import IgnorePings
from sagemaker_bidi.faults.kinds.inject_error import InjectError
from sagemaker_bidi.faults.kinds.inject_event import InjectEvent
from sagemaker_bidi.faults.kinds.inject_frame import InjectFrame
from sagemaker_bidi.faults.kinds.kill_container import KillContainer
from sagemaker_bidi.faults.kinds.never_headers import NeverHeaders
from sagemaker_bidi.faults.kinds.refuse import Refuse
from sagemaker_bidi.faults.kinds.refuse_upgrade import RefuseUpgrade
from sagemaker_bidi.faults.kinds.replace import Replace
from sagemaker_bidi.faults.kinds.reset_stream import ResetStream
from sagemaker_bidi.faults.kinds.silence import Silence
from sagemaker_bidi.faults.kinds.slow_accept import SlowAccept
from sagemaker_bidi.faults.kinds.stop_reading import StopReading
from sagemaker_bidi.faults.kinds.tcp_reset import TcpReset
from sagemaker_bidi.faults.kinds.truncate import Truncate
from sagemaker_bidi.faults.kinds.withhold_window import WithholdWindow
from sagemaker_bidi.faults.plan import Plan, Rule, When, points_of

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
