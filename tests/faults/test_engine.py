"""When rules act: counted, typed, and on whom."""

from __future__ import annotations

import pytest

from sagemaker_bidi import Emulator
from sagemaker_bidi.contract.errors import Refused, StreamError
from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.contract.outputs import CloseContainer
from sagemaker_bidi.faults.kinds.drop import Drop
from sagemaker_bidi.faults.kinds.duplicate import Duplicate
from sagemaker_bidi.faults.kinds.inject_error import InjectError
from sagemaker_bidi.faults.kinds.kill_container import KillContainer
from sagemaker_bidi.faults.kinds.replace import Replace
from sagemaker_bidi.faults.plan import Plan
from sagemaker_bidi.tap import Item
from tests.faults.crossings import REFUSE, REFUSE_REFUSAL, numbered, payloads
from tests.faults.stage import Stage, part, rule, text


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
    ("point", "kind", "fits"),
    [
        ("to-container", "data", [text(), Frame(Opcode.BINARY), Frame(Opcode.CONT)]),
        ("to-container", "ping", [Frame(Opcode.PING)]),
        ("from-container", "pong", [Frame(Opcode.PONG)]),
        ("to-container", "close", [CloseContainer(1000)]),
        ("to-client", "error", [StreamError("ModelStreamError", "", "")]),
    ],
)
async def test_a_kind_is_what_a_rule_concerns(point: str, kind: str, fits: list[Item]) -> None:
    stage = Stage()
    stage.play(rule(Drop(), point, kind=kind))
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

    dropped = [item for item in everything if not await stage.send(item, point)]
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


def test_a_rule_for_an_endpoint_that_is_not_there_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    emulator = Emulator({"voxtral": "ws://127.0.0.1:9"})
    known, unknown = rule(Drop(), endpoint="voxtral"), rule(Drop(), endpoint="nope")
    emulator.faults.add(Plan("mine", (rule(Drop()), known, unknown)))

    [record] = [each for each in caplog.records if each.name == "bidi.faults"]
    assert record.getMessage() == (
        "plan 'mine', rules[2] (drop) never acts: there is no endpoint 'nope', there are: voxtral"
    )


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
