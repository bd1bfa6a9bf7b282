"""The container's rules for its two processes, in events and seconds."""

import signal

import pytest

from sagemaker_bidi_bridge.supervision import (
    Action,
    Ended,
    Finish,
    Limits,
    Name,
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
