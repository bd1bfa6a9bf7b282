"""The container is pinged each interval, and given up after five pings without a pong (K1)."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sagemaker_bidi.contract.keepalive import Keepalive, Ping, Unanswered

pytestmark = pytest.mark.clause("K1")


def ping(keepalive: Keepalive, now: float) -> bytes:
    due = keepalive.receive_timeout(now)
    assert isinstance(due, Ping)
    return due.payload


def until_silence(keepalive: Keepalive) -> list[tuple[float, Ping | Unanswered | None]]:
    """Everything that a container sees that never answers, each at its time."""
    seen: list[tuple[float, Ping | Unanswered | None]] = []
    while (now := keepalive.deadline()) < math.inf:
        seen.append((now, keepalive.receive_timeout(now)))
        assert len(seen) < 20, "the container is never given up"
    return seen


def test_the_first_ping_is_due_one_interval_after_the_opening() -> None:
    keepalive = Keepalive(1000.0)
    assert keepalive.deadline() == 1060.0
    assert keepalive.receive_timeout(1059.9) is None
    assert isinstance(keepalive.receive_timeout(1060.0), Ping)


def test_a_silent_container_is_pinged_each_minute_and_given_up_at_300_seconds() -> None:
    *pings, given_up = until_silence(Keepalive(0.0))
    assert [now for now, _ in pings] == [60.0, 120.0, 180.0, 240.0, 300.0]
    assert all(isinstance(due, Ping) for _, due in pings)
    assert given_up == (300.0, Unanswered(5))


def test_the_last_ping_is_waited_for_as_long_as_it_is_set() -> None:
    seen = until_silence(Keepalive(0.0, last_wait=7.5))
    assert seen[-2][0] == 300.0
    assert seen[-1] == (307.5, Unanswered(5))


def test_each_ping_has_a_payload_of_its_own() -> None:
    pings = [due for _, due in until_silence(Keepalive(0.0)) if isinstance(due, Ping)]
    assert len({each.payload for each in pings}) == 5


def test_after_it_was_given_up_a_container_is_pinged_no_more() -> None:
    keepalive = Keepalive(0.0, limit=1)
    last = ping(keepalive, 60.0)
    assert keepalive.receive_timeout(60.0) == Unanswered(1)
    keepalive.receive_pong(last)
    assert keepalive.deadline() == math.inf
    assert keepalive.receive_timeout(1e9) is None


def test_a_pong_starts_the_count_again() -> None:
    keepalive = Keepalive(0.0)
    payloads = [ping(keepalive, 60.0 * (n + 1)) for n in range(4)]
    assert keepalive.unanswered == 4
    keepalive.receive_pong(payloads[-1])
    assert keepalive.unanswered == 0
    *_, given_up = until_silence(keepalive)
    assert given_up == (240.0 + 300.0, Unanswered(5))


def test_a_pong_to_an_older_ping_leaves_the_later_ones_unanswered() -> None:
    keepalive = Keepalive(0.0)
    payloads = [ping(keepalive, 60.0 * (n + 1)) for n in range(4)]
    keepalive.receive_pong(payloads[1])
    assert keepalive.unanswered == 2


@pytest.mark.parametrize("payload", [b"", b"\0\0\0\7", b"unsolicited"])
def test_a_pong_that_answers_no_ping_changes_nothing(payload: bytes) -> None:
    keepalive = Keepalive(0.0)
    ping(keepalive, 60.0)
    keepalive.receive_pong(payload)
    assert keepalive.unanswered == 1


def test_a_pong_counts_once() -> None:
    keepalive = Keepalive(0.0)
    first = ping(keepalive, 60.0)
    keepalive.receive_pong(first)
    ping(keepalive, 120.0)
    keepalive.receive_pong(first)
    assert keepalive.unanswered == 1


def test_a_pong_within_the_last_wait_brings_the_rhythm_back() -> None:
    keepalive = Keepalive(0.0, limit=2, last_wait=10.0)
    ping(keepalive, 60.0)
    last = ping(keepalive, 120.0)
    assert keepalive.deadline() == 130.0
    keepalive.receive_pong(last)
    assert keepalive.deadline() == 180.0


def test_a_pong_after_the_last_wait_saves_the_container_while_it_is_not_given_up_yet() -> None:
    keepalive = Keepalive(0.0, limit=2, last_wait=10.0)
    ping(keepalive, 60.0)
    last = ping(keepalive, 120.0)
    keepalive.receive_pong(last)  # The timer of 130 s fires late, the pong is read before it.
    assert keepalive.receive_timeout(131.0) is None
    assert isinstance(keepalive.receive_timeout(180.0), Ping)


def test_a_last_wait_longer_than_an_interval_is_not_cut_short_by_a_pong() -> None:
    keepalive = Keepalive(0.0, limit=1, last_wait=100.0)
    keepalive.receive_pong(ping(keepalive, 60.0))
    assert keepalive.deadline() == 160.0


def test_a_timer_that_fires_late_does_not_shift_the_rhythm() -> None:
    keepalive = Keepalive(0.0)
    ping(keepalive, 60.7)
    assert keepalive.deadline() == 120.0


def test_a_machine_that_was_suspended_owes_no_pings() -> None:
    keepalive = Keepalive(0.0)
    ping(keepalive, 3600.0)
    assert keepalive.unanswered == 1
    assert keepalive.deadline() == 3660.0


def test_a_container_that_answers_every_ping_is_never_given_up() -> None:
    keepalive = Keepalive(0.0)
    for _ in range(1000):
        keepalive.receive_pong(ping(keepalive, keepalive.deadline()))
    assert keepalive.deadline() == 60.0 * 1001


class KeepaliveMachine(RuleBasedStateMachine):
    """Any order of timers, late timers and pongs."""

    def __init__(self) -> None:
        super().__init__()
        self.interval, self.limit = 60.0, 5
        self.now = 0.0
        self.keepalive = Keepalive(0.0, interval=self.interval, limit=self.limit, last_wait=8.0)
        self.latest_deadline = self.keepalive.deadline()
        self.unanswered: list[bytes] = []
        self.last_ping = -math.inf
        self.over = False

    def wait(self, now: float) -> None:
        self.now = now
        match self.keepalive.receive_timeout(now):
            case Ping(payload):
                assert not self.over
                self.unanswered.append(payload)
                self.last_ping = now
            case Unanswered(pings):
                assert pings == len(self.unanswered) == self.limit
                assert now >= self.last_ping + 8.0
                self.over = True

    @precondition(lambda self: not self.over)
    @rule(late=st.sampled_from([0.0, 0.0, 0.5, 59.0, 60.0, 1000.0]))
    def the_timer_fires(self, late: float) -> None:
        self.wait(max(self.now, self.keepalive.deadline()) + late)

    @rule(seconds=st.floats(0.0, 30.0))
    def time_passes(self, seconds: float) -> None:
        self.wait(self.now + seconds)

    @rule(which=st.integers(0, 4))
    def a_pong_arrives(self, which: int) -> None:
        assume(which < len(self.unanswered) and not self.over)
        before = self.keepalive.unanswered
        self.keepalive.receive_pong(self.unanswered[which])
        del self.unanswered[: which + 1]
        assert self.keepalive.unanswered < before
        assert self.keepalive.deadline() >= self.last_ping + self.interval

    @rule(payload=st.binary(max_size=8))
    def a_stray_pong_arrives(self, payload: bytes) -> None:
        assume(payload not in self.unanswered)
        self.keepalive.receive_pong(payload)

    @invariant()
    def no_more_than_the_limit_is_unanswered(self) -> None:
        assert self.keepalive.unanswered == len(self.unanswered) <= self.limit

    @invariant()
    def the_deadline_never_goes_back(self) -> None:
        assert self.keepalive.deadline() >= self.latest_deadline
        self.latest_deadline = self.keepalive.deadline()

    @invariant()
    def the_end_is_final(self) -> None:
        assert (self.keepalive.deadline() == math.inf) == self.over


TestKeepaliveMachine = KeepaliveMachine.TestCase
