"""When rules act: drawn from a seed, and timed."""

from __future__ import annotations

from collections.abc import Sequence

from sagemaker_bidi.contract.frames import Frame, Opcode, Part
from sagemaker_bidi.faults.kinds.bandwidth import Bandwidth
from sagemaker_bidi.faults.kinds.corrupt import Corrupt
from sagemaker_bidi.faults.kinds.delay import Delay
from sagemaker_bidi.faults.kinds.delay_pongs import DelayPongs
from sagemaker_bidi.faults.kinds.drop import Drop
from sagemaker_bidi.faults.kinds.kill_container import KillContainer
from sagemaker_bidi.tap import Item, Later
from tests.faults.crossings import REFUSE, numbered
from tests.faults.stage import Stage, part, rule, settle, text


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


async def test_at_on_what_passes_leaves_alone_and_uncounted_what_comes_before() -> None:
    stage = Stage()
    await stage.clock.advance(100.0)
    stage.play(rule(Drop(), at=60.0, after=1))
    await stage.open()
    assert await numbered(stage, 3) == ["0", "1", "2"]
    await stage.clock.advance(59.9)
    assert await numbered(stage, 1) == ["0"]

    await stage.clock.advance(0.1)
    assert await numbered(stage, 3) == ["0"]


async def test_at_counts_for_a_late_item_when_it_comes_to_the_rule() -> None:
    stage = Stage()
    stage.play(rule(Delay(5.0)), rule(Drop(), at=60.0))
    await stage.open()
    await stage.clock.advance(54.0)
    assert await due_at(stage, part()) == 59.0

    await stage.clock.advance(1.0)
    assert await stage.pass_through(part()) == []


async def test_a_session_fault_with_at_on_what_passes_acts_on_the_first_item_from_then() -> None:
    stage = Stage()
    stage.play(rule(KillContainer(), at=60.0))
    session = await stage.open()
    await stage.send(part())
    await stage.clock.advance(60.0)
    assert session.commands == []

    await stage.send(part())
    assert session.commands == [("abort_container",)]


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


async def test_a_session_fault_waits_for_its_own_item_where_items_are_late() -> None:
    stage = Stage()
    stage.play(rule(Delay(2.0)), rule(KillContainer(), after=3))
    session = await stage.open()
    first, second, third = [await late_one(stage, part(name)) for name in "abc"]
    behind = await late_one(stage, part("d"))
    await stage.clock.advance(2.0)

    for each in (first, second):
        await stage.let_cross(each)
    assert session.commands == []
    await stage.let_cross(third)
    assert session.commands == [("abort_container",)]
    await stage.let_cross(behind)
    assert session.commands == [("abort_container",)]


async def test_a_session_fault_waits_for_its_own_item_behind_late_ones() -> None:
    stage = Stage()
    stage.play(rule(KillContainer(), after=2), rule(Delay(2.0), times=1))
    session = await stage.open()
    first, second = [await late_one(stage, part(name)) for name in "ab"]
    await stage.clock.advance(2.0)

    await stage.let_cross(first)
    assert session.commands == []
    await stage.let_cross(second)
    assert session.commands == [("abort_container",)]


async def test_a_session_fault_whose_item_is_lost_acts_when_the_next_has_crossed() -> None:
    stage = Stage()
    stage.play(rule(Delay(2.0)), rule(KillContainer(), after=2), rule(Drop(), after=1, times=1))
    session = await stage.open()
    first = await late_one(stage, part("a"))
    assert await stage.pass_through(part("lost")) == []
    third = await late_one(stage, part("c"))
    await stage.clock.advance(2.0)

    await stage.let_cross(first)
    assert session.commands == []
    await stage.let_cross(third)
    assert session.commands == [("abort_container",)]


async def test_a_session_fault_that_is_removed_while_its_item_is_late_does_not_act() -> None:
    stage = Stage()
    stage.play(rule(Delay(2.0)), name="slow")
    stage.play(rule(KillContainer(), after=1), name="killer")
    session = await stage.open()
    late = await late_one(stage, part())
    stage.faults.remove("killer")
    await stage.clock.advance(2.0)

    await stage.let_cross(late)
    assert session.commands == []


async def late_one(stage: Stage, item: Item) -> Later:
    [late] = await stage.pass_through(item)
    assert isinstance(late, Later)
    return late


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
    return (await late_one(stage, item)).at


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
