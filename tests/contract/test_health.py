"""A container's status follows from its answers to /ping and the time, and from nothing else."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_bidi.contract.health import Health, PingAnswer, Status

pytestmark = pytest.mark.clause("K4")

START = 100.0
OK = PingAnswer(200, "answered 200")
BUSY = PingAnswer(503, "answered 503")
ABSENT = PingAnswer(404, "answered 404")
SILENT = PingAnswer(None, "did not answer within 2 s")

LEGAL = {
    (Status.CREATING, Status.IN_SERVICE),
    (Status.CREATING, Status.FAILED),
    (Status.IN_SERVICE, Status.UNHEALTHY),
    (Status.UNHEALTHY, Status.IN_SERVICE),
}


def in_service(failures: int) -> Health:
    health = Health(START, failures=failures)
    health.receive_answer(OK, START)
    return health


def test_a_container_is_asked_at_once_and_creating_until_then() -> None:
    health = Health(START)

    assert health.status is Status.CREATING
    assert health.deadline() == START
    assert health.latest is None


def test_the_first_200_brings_a_container_into_service() -> None:
    health = Health(START)

    assert health.receive_answer(SILENT, START + 2) is None
    assert health.receive_answer(OK, START + 3) is Status.IN_SERVICE
    assert (health.status, health.latest) == (Status.IN_SERVICE, OK)


def test_a_container_that_starts_is_asked_more_often_than_one_in_service() -> None:
    health = Health(START, interval=5.0, startup_interval=0.5)

    health.receive_answer(BUSY, START + 1)
    assert health.deadline() == START + 1.5
    health.receive_answer(OK, START + 1.5)
    assert health.deadline() == START + 6.5
    health.receive_answer(BUSY, START + 6.5)
    assert health.deadline() == START + 11.5


def test_a_container_has_eight_minutes_to_pass() -> None:
    health = Health(START)

    assert health.receive_answer(BUSY, START + 479.9) is None
    assert health.receive_answer(BUSY, START + 480) is Status.FAILED
    assert health.deadline() is None


def test_a_pass_at_the_last_check_still_counts() -> None:
    health = Health(START, startup=10)

    assert health.receive_answer(OK, START + 10) is Status.IN_SERVICE


def test_a_failed_endpoint_stays_failed_whatever_its_container_answers() -> None:
    health = Health(START, startup=10)
    health.receive_answer(SILENT, START + 10)

    assert health.receive_answer(OK, START + 11) is None
    assert (health.status, health.latest) == (Status.FAILED, SILENT)
    assert health.deadline() is None


def test_only_failures_in_a_row_make_a_container_unhealthy() -> None:
    health = in_service(failures=3)

    answers = [BUSY, SILENT, OK, BUSY, BUSY]
    assert [health.receive_answer(answer, START + 5) for answer in answers] == [None] * 5
    assert health.receive_answer(SILENT, START + 10) is Status.UNHEALTHY


def test_an_unhealthy_container_is_asked_on_and_recovers_with_one_pass() -> None:
    health = in_service(failures=1)
    health.receive_answer(BUSY, START + 5)

    assert health.receive_answer(BUSY, START + 10) is None
    assert health.status is Status.UNHEALTHY
    assert health.deadline() == START + 15
    assert health.receive_answer(OK, START + 15) is Status.IN_SERVICE


def test_a_recovered_container_has_all_its_failures_before_it_again() -> None:
    health = in_service(failures=2)
    for answer in (BUSY, BUSY, OK):
        health.receive_answer(answer, START + 5)

    assert health.receive_answer(BUSY, START + 6) is None
    assert health.receive_answer(BUSY, START + 7) is Status.UNHEALTHY


def test_failures_during_the_start_do_not_count_later() -> None:
    health = Health(START, failures=2)
    for answer in (BUSY, BUSY, BUSY, OK):
        health.receive_answer(answer, START + 1)

    assert health.receive_answer(BUSY, START + 6) is None


def test_a_container_that_was_in_service_never_fails_its_endpoint() -> None:
    health = in_service(failures=1)

    assert health.receive_answer(BUSY, START + 10_000) is Status.UNHEALTHY
    assert health.receive_answer(BUSY, START + 20_000) is None


@pytest.mark.parametrize(
    ("strictness", "passing"),
    [("strict", {200}), ("lenient", {200, 204, 301, 404, 405, 499})],
)
def test_strict_wants_200_and_lenient_any_answer_below_500(
    strictness: Literal["strict", "lenient"], passing: set[int]
) -> None:
    health = Health(START, strictness=strictness)
    statuses = (200, 204, 301, 404, 405, 499, 500, 503, 599)

    assert {status for status in statuses if health.passes(PingAnswer(status, ""))} == passing


@pytest.mark.parametrize("strictness", ["strict", "lenient"])
def test_no_answer_is_never_a_pass(strictness: Literal["strict", "lenient"]) -> None:
    assert not Health(START, strictness=strictness).passes(SILENT)


STEPS = st.lists(
    st.tuples(st.floats(0, 300), st.sampled_from([OK, ABSENT, BUSY, SILENT])), max_size=40
)


@given(
    STEPS,
    st.floats(0, 1000),
    st.integers(1, 5),
    st.sampled_from(["strict", "lenient"]),
)
def test_whatever_is_answered_the_status_changes_only_as_the_contract_allows(
    steps: list[tuple[float, PingAnswer]],
    startup: float,
    failures: int,
    strictness: Literal["strict", "lenient"],
) -> None:
    health = Health(START, startup=startup, failures=failures, strictness=strictness)
    now, failed = START, 0
    for pause, answer in steps:
        now += pause
        passes = answer.status == 200 or (strictness == "lenient" and answer is ABSENT)
        failed = 0 if passes else failed + 1
        before = health.status
        changed = health.receive_answer(answer, now)

        assert changed == (None if health.status is before else health.status)
        if before is Status.FAILED:
            assert health.status is Status.FAILED
        elif passes:
            assert health.status is Status.IN_SERVICE
        elif before is Status.CREATING:
            expired = now >= START + startup
            assert health.status is (Status.FAILED if expired else Status.CREATING)
        elif before is Status.IN_SERVICE:
            over = failed >= failures
            assert health.status is (Status.UNHEALTHY if over else Status.IN_SERVICE)
        if changed is not None:
            assert (before, changed) in LEGAL

        deadline = health.deadline()
        assert (deadline is None) == (health.status is Status.FAILED)
        assert deadline is None or deadline > now


@pytest.mark.parametrize(
    ("answers", "clause", "said"),
    [
        ([], "O5", "the endpoint is Creating: GET http://h/ping has not been asked yet (K4)"),
        ([BUSY], "O5", "the endpoint is Failed: GET http://h/ping answered 503 (K4); a failed"),
        ([OK, BUSY], "O4", "the endpoint is Unhealthy: GET http://h/ping answered 503 (K4)"),
    ],
)
def test_an_invocation_is_refused_by_what_its_container_is(
    answers: list[PingAnswer], clause: str, said: str
) -> None:
    health = Health(START, startup=1.0, failures=1)
    for answer in answers:
        health.receive_answer(answer, START + 2)
    refusal = health.refusal("e", "123456789012", "primary", "http://h/ping")

    assert refusal is not None
    assert refusal.clause == clause
    assert refusal.reason.startswith(said)


def test_a_container_in_service_takes_invocations() -> None:
    assert in_service(1).refusal("e", "123456789012", "primary", "http://h/ping") is None


@pytest.mark.parametrize(
    ("answer", "passes_only_here"), [(OK, False), (ABSENT, True), (BUSY, False)]
)
def test_lenient_knows_what_sagemaker_would_not_take(
    answer: PingAnswer, passes_only_here: bool
) -> None:
    assert Health(START, strictness="lenient").passes_only_here(answer) is passes_only_here
