"""The runner: time limits, skips, and what becomes of a check that goes wrong."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sagemaker_bidi.contract.ledger import LedgerError
from sagemaker_bidi_contract.checks import CONTAINER, Check, Registry, SelectionError
from sagemaker_bidi_contract.exchange import LINES, ExchangeLog
from sagemaker_bidi_contract.runner import Runner
from sagemaker_bidi_contract.verdicts import Outcome, Unmet, Verdict, failed, ok


class FakeStage:
    def __init__(self) -> None:
        self.log = ExchangeLog()
        self.awaited = ""
        self.cleared = 0
        self.down = ""

    async def missing(self, capability: str) -> str | None:
        self.log.add("probe", "note", "finding out")
        return f"it needs {capability}" if capability == "a license" else None

    async def unreachable(self) -> str | None:
        return self.down or None

    async def clear(self) -> None:
        self.cleared += 1


def make(run: Callable[[FakeStage], Awaitable[Outcome]], *requires: str) -> Check:
    return Check("test.check", "it does", ("F1",), requires, run)


async def hang(stage: FakeStage) -> Outcome:
    stage.awaited = "the second coming"
    await asyncio.Event().wait()
    return ok("never")


async def test_a_check_that_hangs_fails_with_what_it_waited_for() -> None:
    stage = FakeStage()
    finding = await Runner(stage, 0.01).run_one(make(hang))
    assert finding.verdict is Verdict.FAILED
    assert "did not end within 0.01 s" in finding.summary
    assert "waiting for the second coming" in finding.summary
    assert stage.cleared == 1


async def test_a_check_with_a_limit_of_its_own_has_that() -> None:
    check = Check("test.check", "it does", ("F1",), (), hang, seconds=0.02)
    finding = await Runner(FakeStage(), 3_600).run_one(check)
    assert "within 0.02 s" in finding.summary


async def test_a_disappointment_is_a_failure_with_its_expectation() -> None:
    async def run(stage: FakeStage) -> Outcome:
        raise Unmet("a fish came", "a bird")

    finding = await Runner(FakeStage(), 1).run_one(make(run))
    assert (finding.verdict, finding.summary, finding.expected) == (
        Verdict.FAILED,
        "a fish came",
        "a bird",
    )


async def test_a_connection_error_is_a_failure_and_ends_nothing_else() -> None:
    async def run(stage: FakeStage) -> Outcome:
        raise ConnectionResetError("by peer")

    finding = await Runner(FakeStage(), 1).run_one(make(run))
    assert finding.verdict is Verdict.FAILED
    assert "ConnectionResetError" in finding.summary


async def test_a_missing_capability_skips_with_the_reason() -> None:
    finding = await Runner(FakeStage(), 1).run_one(make(hang, "a license"))
    assert (finding.verdict, finding.summary) == (Verdict.SKIPPED, "it needs a license")


async def test_the_exchange_is_that_of_the_check_alone() -> None:
    async def run(stage: FakeStage) -> Outcome:
        stage.log.add("session 1", "sent", "hello")
        stage.log.add("session 1", "received", "world")
        return ok("fine")

    finding = await Runner(FakeStage(), 1).run_one(make(run, "air"))
    assert (finding.sent, finding.received) == (("hello",), ("world",))
    assert len(finding.exchange) == 2


async def test_each_finding_is_told_as_it_comes() -> None:
    told: list[str] = []

    async def run(stage: FakeStage) -> Outcome:
        return ok(f"{len(told)} before")

    await Runner(FakeStage(), 1, lambda item: told.append(item.summary)).run([make(run)] * 2)
    assert told == ["0 before", "1 before"]


async def test_after_a_target_is_gone_checks_are_skipped_with_the_check_that_saw_it_last() -> None:
    stage = FakeStage()

    async def run(stage: FakeStage) -> Outcome:
        stage.down = "dead"
        return failed("boom", expected="no boom", defects=(2,))

    first, second = await Runner(stage, 1).run([make(run), make(run)])
    assert first.summary.startswith("boom; after this check")
    assert first.defects == (2,)
    assert (second.verdict, "since the check test.check" in second.summary) == (
        Verdict.SKIPPED,
        True,
    )


def test_a_long_exchange_keeps_its_beginning_and_its_end() -> None:
    log = ExchangeLog()
    for number in range(LINES + 50):
        log.add("session 1", "sent", str(number))
    texts = [line.text for line in log.lines()]
    assert (texts[0], texts[-1]) == ("0", str(LINES + 49))
    assert "50 lines left out" in texts


class TestSelection:
    def test_without_a_choice_every_check_is_made_and_the_deadly_one_last(self) -> None:
        checks = CONTAINER.select()
        assert checks == CONTAINER.all()
        assert checks[-1].ends_target
        assert not any(check.ends_target for check in checks[:-1])

    def test_a_clause_selects_all_checks_that_hold_it(self) -> None:
        assert {"F3" in check.clauses for check in CONTAINER.select(clauses=["F3"])} == {True}

    def test_the_beginning_of_an_id_selects_all_that_follow(self) -> None:
        assert {check.id.partition(".")[0] for check in CONTAINER.select(ids=["bridge"])} == {
            "bridge"
        }

    @pytest.mark.parametrize(
        ("clauses", "ids", "says"),
        [
            (["F9"], [], "no clause has the id 'F9'; there are F1"),
            (["P1"], [], "no check of a container holds clause P1; there are checks for O2"),
            ([], ["container.pnog"], "near it: container.pong"),
            ([], ["container.pin"], "no check of a container has the id 'container.pin'"),
        ],
    )
    def test_what_is_not_there_is_said_with_what_is(
        self, clauses: list[str], ids: list[str], says: str
    ) -> None:
        with pytest.raises(SelectionError, match=says):
            CONTAINER.select(clauses, ids)

    def test_a_check_names_clauses_of_the_ledger_and_an_id_of_its_own(self) -> None:
        registry = Registry("container")
        with pytest.raises(LedgerError, match="no clause has the id 'Z1'"):
            registry.check("a", "title", clauses=("Z1",))
        registry.check("a", "title", clauses=("F1",))(hang)
        with pytest.raises(ValueError, match="two checks have the id 'a'"):
            registry.check("a", "title", clauses=("F1",))
