"""Plans as objects and as TOML: what they say, and what is wrong with one that cannot be used."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sagemaker_bidi.faults.kinds import FAULTS, AnyFault, fault
from sagemaker_bidi.faults.kinds.close_container import CloseContainer
from sagemaker_bidi.faults.kinds.corrupt import Corrupt
from sagemaker_bidi.faults.kinds.delay import Delay
from sagemaker_bidi.faults.kinds.delay_pongs import DelayPongs
from sagemaker_bidi.faults.kinds.drop import Drop
from sagemaker_bidi.faults.kinds.inject_event import InjectEvent
from sagemaker_bidi.faults.kinds.kill_container import KillContainer
from sagemaker_bidi.faults.kinds.refuse import Refuse
from sagemaker_bidi.faults.kinds.replace import Replace
from sagemaker_bidi.faults.kinds.reset_stream import ResetStream
from sagemaker_bidi.faults.kinds.truncate import Truncate
from sagemaker_bidi.faults.plan import (
    PASSES,
    PASSING,
    Plan,
    PlanError,
    Rule,
    When,
    load_plan,
    points_of,
    read_plan,
)
from sagemaker_bidi.tap import Point

NAMES = """bandwidth close-container corrupt delay delay-pongs drop duplicate end goaway hold
ignore-pings inject-error inject-event inject-frame kill-container never-headers refuse
refuse-upgrade replace reset-stream silence slow-accept stop-reading tcp-reset truncate
withhold-window"""


REFUSE = {"status": 400, "type": "ThrottlingException", "message": "Rate exceeded"}


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_every_primitive_is_there_under_its_name() -> None:
    assert set(NAMES.split()) <= set(FAULTS)
    assert all(name == kind.name for name, kind in FAULTS.items())


def test_every_fault_says_what_it_does_and_what_each_field_is() -> None:
    for name, kind in FAULTS.items():
        documented = kind.__doc__ or ""
        for each in dataclasses.fields(kind):  # type: ignore[arg-type]
            assert re.search(rf"^\s+(\w+, )*{each.name}(, \w+)*:", documented, re.M), (
                f"{name}: the docstring does not explain {each.name}"
            )


def test_a_name_is_given_to_one_fault() -> None:
    class Another:
        name: ClassVar[str] = "drop"

        async def open(self, attempt: object, scene: object) -> None:
            """Do nothing."""

    with pytest.raises(ValueError, match="two faults are named 'drop'"):
        fault(Another)


def test_a_plan_in_toml_is_the_same_as_one_of_objects(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        seed = 7

        [[rules]]
        do = "delay"
        seconds = 0.2
        jitter = 0.05
        when = { point = "to-container", after = 3, probability = 0.5 }

        [[rules]]
        do = "refuse"
        status = 400
        type = "ThrottlingException"
        message = "Rate exceeded"
        when = { point = "opening", sessions = 1, endpoint = "voxtral" }

        [[rules]]
        do = "inject-event"
        type = "SomethingNew"
        headers = { DataType = "UTF8" }
        text = "{}"
        when = { type = "transcription.delta" }

        [[rules]]
        do = "kill-container"
        when = { point = "opened", at = 60 }
        """,
    )

    assert load_plan(path) == Plan(
        "mine",
        (
            Rule(Delay(0.2, 0.05), When("to-container", after=3, probability=0.5)),
            Rule(
                Refuse(400, "ThrottlingException", "Rate exceeded"),
                When("opening", sessions=1, endpoint="voxtral"),
            ),
            Rule(
                InjectEvent("SomethingNew", headers={"DataType": "UTF8"}, text="{}"),
                When(type="transcription.delta"),
            ),
            Rule(KillContainer(), When("opened", at=60.0)),
        ),
        seed=7,
    )


def test_a_plan_may_name_itself() -> None:
    plan = read_plan({"name": "own", "rules": [{"do": "drop"}]}, name="file", where="here")

    assert plan.name == "own"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules = 3", "rules: a plan needs at least one [[rules]]"),
        ("", "rules: a plan needs at least one [[rules]]"),
        ("[[rules", "is no valid TOML"),
        ("[[rule]]\ndo = 'drop'", "rule: no such key; there are name, seed, rules"),
        ("seed = 'x'\n[[rules]]\ndo = 'drop'", "seed: "),
        ("seed = 1.5\n[[rules]]\ndo = 'drop'", "seed: "),
        ("name = 1\n[[rules]]\ndo = 'drop'", "name: "),
        ("name = ''\n[[rules]]\ndo = 'drop'", "name: "),
        ("rules = [1]", "rules[0]: is no table"),
        ("[[rules]]\nwhen = {}", "rules[0]: do = None; there are bandwidth, "),
        ("[[rules]]\ndo = ['drop']", "rules[0]: do = ['drop']; did you mean 'drop'?"),
        ("[[rules]]\ndo = 'dealy'", "rules[0]: do = 'dealy'; did you mean 'delay'?"),
        (
            "[[rules]]\ndo = 'drop'\n[[rules]]\ndo = 'delay'\nms = 3",
            "rules[1]: delay has no field ms; it has jitter, seconds",
        ),
        ("[[rules]]\ndo = 'drop'\nms = 3", "rules[0]: drop has no field ms; it has none"),
        ("[[rules]]\ndo = 'delay'", "rules[0]: delay.seconds: "),
        ("[[rules]]\ndo = 'delay'\nseconds = 'long'", "rules[0]: delay.seconds: "),
        ("[[rules]]\ndo = 'delay'\nseconds = -1", "seconds and jitter must be 0 or more"),
        (
            "[[rules]]\ndo = 'delay'\nseconds = inf",
            "rules[0]: delay.seconds must be a finite number, not inf",
        ),
        (
            "[[rules]]\ndo = 'delay'\nseconds = 1\njitter = 'inf'",
            "rules[0]: delay.jitter must be a finite number, not inf",
        ),
        (
            "[[rules]]\ndo = 'end'\nwhen = { point = 'opened', at = nan }",
            "rules[0]: when: at must be a finite number, not nan",
        ),
        ("[[rules]]\ndo = 'drop'\nwhen = 3", "rules[0]: when: "),
        ("[[rules]]\ndo = 'drop'\nwhen = { point = 'x' }", "rules[0]: when.point: "),
        ("[[rules]]\ndo = 'drop'\nwhen = { afer = 3 }", "rules[0]: when has no field afer; it has"),
        ("[[rules]]\ndo = 'drop'\nwhen = { kind = 'x' }", "rules[0]: when.kind: "),
        (
            "[[rules]]\ndo = 'refuse-upgrade'",
            'rules[0]: refuse-upgrade cannot act at point = "to-client"; it can at opening',
        ),
    ],
)
def test_a_bad_plan_is_refused_with_file_rule_key_and_what_is_expected(
    tmp_path: Path, text: str, says: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(PlanError) as caught:
        load_plan(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"gone\.toml: cannot be read: No such file"):
        load_plan(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ({"after": -1}, "after must be 0 or more, not -1"),
        ({"times": 0}, "times must be 1 or more, not 0"),
        ({"sessions": 0}, "sessions must be 1 or more, not 0"),
        ({"probability": 1.5}, "probability must be from 0 to 1, not 1.5"),
        ({"probability": float("nan")}, "probability must be a finite number, not nan"),
        ({"point": "opened", "at": float("nan")}, "at must be a finite number, not nan"),
        ({"point": "opened", "at": float("inf")}, "at must be a finite number, not inf"),
        (
            {"kind": "ping"},
            'kind = "ping" does not pass at point = "to-client"; data, error, any do',
        ),
        ({"kind": "foo"}, 'kind = "foo" does not pass at point = "to-client"; data, error, any do'),
        ({"point": "to-container", "kind": "pong"}, "data, ping, close, any do"),
        ({"point": "from-container", "kind": "close"}, "data, ping, pong, any do"),
        ({"point": "to-somewhere"}, "point must be one of opening, opened, to-container, "),
        ({"kind": "error", "type": "x"}, 'type is that of a payload: kind = "error" has none'),
        ({"point": "opening", "at": 3.0}, 'it does not go with point = "opening"'),
        ({"point": "opened", "after": 3}, 'does not go with point = "opened"'),
        (
            {"point": "opening", "type": "x"},
            'type says what passes: it does not go with point = "o',
        ),
        ({"point": "opened", "times": 2}, 'times says what passes: it does not go with point = "o'),
    ],
)
def test_conditions_that_can_never_hold_are_refused(when: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        When(**when)


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        ("bandwidth", {"bytes_per_second": 0}, "bytes_per_second must be more than 0"),
        ("duplicate", {"copies": 0}, "copies must be from 1 to 100, not 0"),
        ("duplicate", {"copies": 100_000}, "copies must be from 1 to 100, not 100000"),
        ("truncate", {"bytes": 0}, "bytes must be 1 or more"),
        ("replace", {}, "there is nothing to replace"),
        ("replace", {"text": "a", "base64": "YQ=="}, "give either text or base64"),
        ("replace", {"base64": "?"}, "base64 holds no base64"),
        ("close-container", {"code": 99}, "code must be from 1000 to 4999"),
        ("close-container", {"reason": "x" * 124}, "123 bytes"),
        ("delay-pongs", {"seconds": -1}, "seconds must be 0 or more"),
        ("slow-accept", {"seconds": -1}, "seconds and allowed must be 0 or more"),
        ("reset-stream", {"code": "OOPS"}, "'ENHANCE_YOUR_CALM'"),
        ("corrupt", {"where": "tail"}, "'message-crc'"),
        ("refuse", {**REFUSE, "status": 42}, "status must be an HTTP error's, from 400 to 599"),
        ("refuse", {**REFUSE, "status": 200}, "status must be an HTTP error's, from 400 to 599"),
        ("refuse", {**REFUSE, "status": 99999}, "status must be an HTTP error's, from 400 to 599"),
        ("refuse", {**REFUSE, "after": -5}, "after must be 0 or more, not -5"),
        ("refuse", {**REFUSE, "type": "a b"}, "type goes into a header: ASCII without spaces"),
        ("inject-event", {"type": "x" * 33_000}, "header ':event-type' has 33000 bytes"),
        (
            "inject-event",
            {"type": "x", "headers": {"n" * 300: "v"}},
            "has 300 bytes, expected 1 to 255",
        ),
        (
            "inject-error",
            {"event": "error", "message": "x" * 33_000},
            "header ':error-message' has 33000 bytes",
        ),
    ],
)
def test_fields_that_make_no_sense_are_refused(
    kind: str, fields: dict[str, Any], says: str
) -> None:
    table = {"rules": [{"do": kind, **fields}]}
    with pytest.raises(PlanError, match=re.escape(says)):
        read_plan(table, name="x", where="x.toml")


def test_a_fault_with_a_number_that_is_not_finite_makes_no_rule() -> None:
    with pytest.raises(ValueError, match=r"delay\.jitter must be a finite number, not inf"):
        Rule(Delay(1.0, jitter=float("inf")))


@pytest.mark.parametrize(
    ("fault", "when", "says"),
    [
        (
            Truncate(),
            When(kind="error"),
            'truncate does nothing to kind = "error"; it acts on data',
        ),
        (
            Replace(text=""),
            When("to-container", kind="ping"),
            'kind = "ping"; it acts on data, any',
        ),
        (Corrupt(), When("to-container", kind="close"), "it acts on data, ping, pong, any"),
        (Corrupt("header"), When(kind="error"), "it acts on data, any"),
        (DelayPongs(1.0), When("from-container"), 'kind = "data"; it acts on pong, any'),
    ],
)
def test_a_fault_on_a_kind_that_it_does_nothing_to_makes_no_rule(
    fault: AnyFault, when: When, says: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        Rule(fault, when)


@pytest.mark.parametrize("point", PASSING)
def test_a_fault_that_says_no_kind_acts_on_all_that_passes(point: Point) -> None:
    for kind in PASSES[point]:
        Rule(Drop(), When(point, kind=kind))


def test_where_a_fault_may_act_follows_from_what_it_can_do() -> None:
    assert points_of(Delay(1.0)) == ("to-container", "from-container", "to-client")
    assert points_of(CloseContainer())[0] == "opened"
    assert points_of(ResetStream())[:2] == ("opening", "opened")
    assert points_of(Corrupt("message-crc")) == ("to-client",)
    with pytest.raises(ValueError, match='corrupt cannot act at point = "to-container"'):
        Rule(Corrupt("message-crc"), When("to-container"))
