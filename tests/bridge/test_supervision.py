"""The container's rules for its two processes, in events and seconds."""

import signal

import pytest

from sagemaker_bidi_bridge.supervision import (
    Action,
    Answered,
    Ask,
    Ended,
    Finish,
    Limits,
    Name,
    Silent,
    Supervision,
    Tell,
    Told,
)

TERM = signal.SIGTERM


def finished(actions: list[Action]) -> Finish:
    (action,) = actions
    assert isinstance(action, Finish)
    return action


class TestAProcessThatEnds:
    @pytest.mark.parametrize(("dead", "other"), [("bridge", "vllm"), ("vllm", "bridge")])
    def test_ends_the_other_one_and_then_the_container_with_its_code(
        self, dead: Name, other: Name
    ) -> None:
        rules = Supervision()
        assert rules.receive(Ended(dead, 137), 10.0) == [Tell(other, TERM)]
        assert rules.receive(Ended(other, 0), 11.0) == [Finish(137, f"{dead} ended with 137")]

    def test_ends_the_container_when_the_other_one_does_not_listen(self) -> None:
        rules = Supervision(Limits(rest=5))
        rules.receive(Ended("vllm", 1), 10.0)
        assert rules.deadline == 15.0
        assert rules.receive_time(14.9) == []
        finish = finished(rules.receive_time(15.0))
        assert finish == Finish(1, "vllm ended with 1; bridge had to be killed")


class TestSigterm:
    def test_goes_to_the_bridge_alone_while_its_sessions_need_the_model(self) -> None:
        assert Supervision().receive(Told(), 0.0) == [Tell("bridge", TERM)]

    def test_reaches_vllm_when_the_bridge_has_drained_and_the_code_is_the_bridges(self) -> None:
        rules = Supervision()
        rules.receive(Told(), 0.0)
        assert rules.receive(Ended("bridge", 0), 25.0) == [Tell("vllm", TERM)]
        assert rules.receive(Ended("vllm", 143), 26.0) == [Finish(0, "told to stop")]

    def test_leaves_nothing_alive_when_sagemaker_would_kill(self) -> None:
        rules = Supervision()
        rules.receive(Told(), 0.0)
        rules.receive(Ended("bridge", 0), 28.5)
        assert rules.deadline is not None
        assert rules.deadline < 30
        finish = finished(rules.receive_time(rules.deadline))
        assert finish.why == "told to stop; vllm had to be killed"

    def test_does_not_extend_the_end_that_a_death_has_begun(self) -> None:
        rules = Supervision(Limits(rest=5))
        rules.receive(Ended("vllm", 9), 0.0)
        rules.receive(Told(), 1.0)
        assert rules.deadline == 5.0

    def test_lets_sessions_learn_of_a_model_that_dies_during_the_drain(self) -> None:
        rules = Supervision()
        rules.receive(Told(), 0.0)
        assert rules.receive(Ended("vllm", 1), 3.0) == []
        assert finished(rules.receive(Ended("bridge", 0), 4.0)).code == 1

    def test_a_second_one_hurries_both(self) -> None:
        rules = Supervision(Limits(hurry=1))
        rules.receive(Told(), 0.0)
        assert rules.receive(Told(), 2.0) == [Tell("bridge", TERM), Tell("vllm", TERM)]
        assert rules.deadline == 3.0


class TestABridgeThatHangs:
    def test_is_killed_after_three_questions_in_a_row_and_the_container_says_why(self) -> None:
        rules = Supervision(Limits(ask=5.0))
        for now in (0.0, 5.0, 10.0):
            assert rules.deadline == now
            assert rules.receive_time(now) == [Ask(2.0)]
            actions = rules.receive(Silent(), now + 2)
        assert actions == [Tell("bridge", signal.SIGKILL)]
        assert rules.receive(Ended("bridge", 137), 12.0) == [Tell("vllm", TERM)]
        finish = finished(rules.receive(Ended("vllm", 0), 13.0))
        assert finish == Finish(137, "the bridge hangs: it left 3 questions unanswered")

    def test_is_not_one_that_answers_now_and_then(self) -> None:
        rules = Supervision(Limits(ask=5.0))
        for now in range(0, 500, 10):
            assert rules.receive(Silent(), now) == []
            assert rules.receive(Silent(), now + 3) == []
            assert rules.receive(Answered(), now + 5) == []

    def test_makes_sigterm_no_longer_than_its_questions(self) -> None:
        rules = Supervision(Limits(ask=5.0))
        rules.receive_time(0.0)
        assert rules.receive(Told(), 1.0) == [Tell("bridge", TERM)]
        for now in (1.0, 3.0, 5.0):
            assert rules.deadline == now
            assert rules.receive_time(now) == [Ask(2.0)]
            actions = rules.receive(Silent(), now + 2)
        assert actions == [Tell("bridge", signal.SIGKILL)]

    def test_is_asked_no_more_when_it_has_ended(self) -> None:
        rules = Supervision(Limits(ask=5.0, rest=60.0))
        rules.receive(Ended("bridge", 1), 1.0)
        assert rules.deadline == 61.0

    def test_is_not_looked_for_where_nobody_asks(self) -> None:
        assert Supervision().deadline is None
