"""A stream has its pings, its longest life and its operator (K1, K2, K3)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.contract.outputs import (
    CloseContainer,
    EndStream,
    Output,
    SendError,
    SendFrame,
)
from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.contract.settings import ContractSettings


@pytest.fixture
def session(client: Any) -> Session:
    return Session(ContractSettings(), client.chain(), 0.0)


def with_settings(client: Any, **settings: Any) -> Session:
    return Session(ContractSettings(**settings), client.chain(), 0.0)


def live(session: Session, *, answers: bool, until: float = math.inf) -> list[tuple[float, Output]]:
    """What a driver on time is told to do, beside pings, up to the session's end or `until`."""
    done: list[tuple[float, Output]] = []
    for _ in range(100):
        now = session.deadline()
        if now is None or now > until:
            return done
        for output in session.receive_timeout(now):
            match output:
                case SendFrame(Frame(Opcode.PING, payload)):
                    if answers:
                        session.receive_frame(Frame(Opcode.PONG, payload), now)
                case _:
                    done.append((now, output))
    raise AssertionError(f"the session still runs after 100 timeouts, at {now} s")


@pytest.mark.clause("K1")
def test_the_container_is_pinged_each_minute(session: Session) -> None:
    assert session.deadline() == 60.0
    assert session.receive_timeout(59.0) == []
    (output,) = session.receive_timeout(60.0)
    assert isinstance(output, SendFrame)
    assert output.frame.opcode is Opcode.PING
    assert session.unanswered_pings == 1
    assert session.deadline() == 120.0
    # A ping is no part and no data frame.
    assert session.frames_sent == 0


@pytest.mark.clause("K1")
@pytest.mark.clause("K3")
def test_a_container_that_answers_no_ping_is_closed_after_300_seconds(session: Session) -> None:
    error = StreamError(
        "ModelStreamError",
        "StreamBroken",
        "Model container did not answer 5 consecutive pings.",
    )
    assert live(session, answers=False) == [
        (300.0, CloseContainer(1011, "keepalive ping timeout", discard=True)),
        (300.0, SendError(error)),
        (300.0, EndStream()),
    ]
    ending = session.ending
    assert ending is not None
    assert (ending.by, ending.clause, ending.error) == ("emulator", "K1", error)
    assert "its endpoint stays in service" in ending.hint


@pytest.mark.clause("K1")
def test_pongs_that_may_wait_behind_unread_output_are_not_blamed_on_the_container(
    session: Session,
) -> None:
    while (now := session.deadline()) is not None:
        session.receive_timeout(now, output_unread=True)

    assert session.ending is not None
    assert session.ending.clause == "K1"
    assert session.ending.hint.startswith("the client did not read its output")


@pytest.mark.clause("K2")
@pytest.mark.clause("K3")
def test_a_stream_lives_30_minutes_at_most_however_well_it_does(session: Session) -> None:
    error = StreamError(
        "ModelStreamError",
        "ModelInvocationTimeExceeded",
        "The stream reached its longest duration of 1800 seconds.",
    )
    assert live(session, answers=True) == [
        (1800.0, CloseContainer(1001, "stream reached its longest duration")),
        (1800.0, SendError(error)),
        (1800.0, EndStream()),
    ]
    ending = session.ending
    assert ending is not None
    assert (ending.by, ending.clause, ending.error) == ("emulator", "K2", error)
    assert session.deadline() is None


@pytest.mark.clause("K2")
def test_a_stream_opened_later_lives_as_long(client: Any) -> None:
    session = Session(ContractSettings(ping_interval=math.inf), client.chain(), 1000.0)
    assert session.deadline() == 2800.0
    assert session.receive_timeout(2799.9) == []
    assert session.receive_timeout(2800.0) != []


@pytest.mark.clause("K3")
def test_when_both_are_due_at_once_the_stream_has_lived_its_longest(client: Any) -> None:
    session = with_settings(client, lifetime=300.0)
    live(session, answers=False)
    assert session.ending is not None
    assert session.ending.clause == "K2"


@pytest.mark.clause("K3")
def test_what_the_client_sees_of_either_is_a_setting(client: Any) -> None:
    silent = StreamError("InternalStreamFailure", "", "{pings} pings")
    session = with_settings(client, missed_pongs_error=silent, missed_pongs=2)
    assert live(session, answers=False)[1] == (
        120.0,
        SendError(StreamError("InternalStreamFailure", "", "2 pings")),
    )
    old = StreamError("error", "TooOld", "{seconds} s")
    session = with_settings(client, lifetime_error=old, lifetime=90.5)
    assert live(session, answers=True)[1] == (
        90.5,
        SendError(StreamError("error", "TooOld", "90.5 s")),
    )


@pytest.mark.clause("K1")
def test_a_machine_that_was_suspended_sends_one_ping_and_waits_for_its_pong(
    session: Session,
) -> None:
    (output,) = session.receive_timeout(1000.0)
    assert isinstance(output, SendFrame)
    assert session.ending is None
    assert session.deadline() == 1060.0
    session.receive_frame(Frame(Opcode.PONG, output.frame.payload), 1000.1)
    assert session.unanswered_pings == 0


@pytest.mark.clause("K1")
def test_a_container_that_wakes_up_again_keeps_its_stream(session: Session) -> None:
    assert live(session, answers=False, until=240.0) == []
    assert live(session, answers=True, until=300.0) == []
    assert (session.unanswered_pings, session.ending) == (0, None)


@pytest.mark.clause("E5")
def test_an_emulator_that_stops_tells_the_client(session: Session) -> None:
    error = StreamError("InternalStreamFailure", "", "The service is shutting down.")
    assert session.shut_down() == [
        CloseContainer(1001, "service is shutting down"),
        SendError(error),
        EndStream(),
    ]
    assert session.ending is not None
    assert (session.ending.by, session.ending.error) == ("emulator", error)
