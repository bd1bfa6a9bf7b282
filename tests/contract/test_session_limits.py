"""A stream has its limits, each of them a setting and none of them silent (K5)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.eventstream.messages import Limits
from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.contract.outputs import CloseContainer, EndStream, Output, SendError, SendFrame
from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.contract.settings import ContractSettings
from tests.contract.conftest import payload_part

pytestmark = pytest.mark.clause("K5")


def opened(client: Any, **settings: Any) -> Session:
    return Session(ContractSettings(ping_interval=1e9, **settings), client.chain(), 0.0)


def send(session: Session, client: Any, data: bytes, now: float = 1.0) -> list[Output]:
    return session.receive_data(data, now=now, utc=client.utc)


# --- headers --------------------------------------------------------------------------------


def test_the_headers_of_an_event_may_be_as_large_as_the_limit_and_no_larger(client: Any) -> None:
    size = len(payload_part(b"", P="x").encode()) - 16
    session = opened(client, event_header_bytes=size)
    assert len(send(session, client, client.part(b"", P="x"))) == 1

    close, error, end = send(session, client, client.part(b"", P="xy"))

    assert close == CloseContainer(1001, "client sent an invalid event")
    assert error == SendError(
        StreamError(
            "error",
            "ValidationException",
            f"event 2: inside its signed message, the headers have {size + 1} bytes, "
            f"the limit is {size}",
        )
    )
    assert end == EndStream()
    assert session.ending is not None
    assert session.ending.clause == "F7"


def test_a_signed_message_has_the_same_limit_before_it_is_held(client: Any) -> None:
    session = opened(client, event_header_bytes=200)
    long = payload_part(b"", P="x" * 200).encode()

    _, error, _ = send(session, client, long[:12])

    assert isinstance(error, SendError)
    assert "the limit is 200 (message at byte 0 of the stream)" in error.error.message


def test_larger_headers_can_be_allowed_than_the_sdk_writes(client: Any) -> None:
    session = opened(client, event_header_bytes=1_000_000, event_bytes=1)
    long = payload_part(b"", **{f"name{n}": "x" * 30_000 for n in range(10)})
    data = client.sign(long.encode(Limits(header_bytes=1_000_000)))
    assert len(send(session, client, data)) == 1


# --- events a second ------------------------------------------------------------------------


def test_a_seconds_worth_of_events_may_come_at_once_and_not_one_more(client: Any) -> None:
    session = opened(client, events_per_second=3)
    *frames, close, error, end = send(
        session, client, b"".join(client.part(b"%d" % n) for n in range(5))
    )

    assert [output.frame.payload for output in frames if isinstance(output, SendFrame)] == [
        b"0",
        b"1",
        b"2",
    ]
    assert close == CloseContainer(1001, "client sent too many events")
    assert error == SendError(
        StreamError("error", "ThrottlingException", "Rate exceeded: more than 3 events a second.")
    )
    assert end == EndStream()
    ending = session.ending
    assert ending is not None
    assert (ending.by, ending.clause) == ("emulator", "K5")
    assert "(events_per_second)" in ending.why


@pytest.mark.parametrize(("rate", "seconds"), [(10, 0.1), (0.5, 2.0)])
def test_events_at_the_rate_may_go_on_for_ever(client: Any, rate: float, seconds: float) -> None:
    session = opened(client, events_per_second=rate)
    for n in range(1, 100):
        send(session, client, client.part(b""), now=n * seconds + 1e-6 * n)
    assert session.ending is None


def test_a_pause_earns_no_more_than_a_seconds_worth(client: Any) -> None:
    session = opened(client, events_per_second=3)
    send(session, client, b"".join(client.part(b"") for _ in range(4)), now=600.0)
    assert session.ending is not None


def test_what_came_while_nobody_read_the_client_is_no_burst(client: Any) -> None:
    session = opened(client, events_per_second=3)
    send(session, client, b"".join(client.part(b"") for _ in range(3)), now=1.0)
    # A slow container held up its input for 10 s.
    session.resume_input(11.0)
    send(session, client, b"".join(client.part(b"") for _ in range(30)), now=11.0)
    assert session.ending is None

    send(session, client, client.part(b""), now=11.0)
    assert session.ending is not None


def test_the_end_of_the_input_is_no_event_too_many(client: Any) -> None:
    session = opened(client, events_per_second=1)
    send(session, client, client.part(b"") + client.end())
    assert session.ending is not None
    assert session.ending.clause == "E3"


def test_without_the_setting_events_may_come_as_fast_as_they_can(client: Any) -> None:
    session = opened(client)
    for _ in range(20):
        session.resume_input(1.0)
        send(session, client, b"".join(client.part(b"") for _ in range(100)))
    assert session.parts_received == 2000


def test_what_a_throttled_client_sees_is_a_setting(client: Any) -> None:
    shown = StreamError("InternalStreamFailure", "", "{events} are enough")
    session = opened(client, events_per_second=1.5, event_rate_error=shown)
    outputs = send(session, client, client.part(b"") + client.part(b""))
    assert SendError(StreamError("InternalStreamFailure", "", "1.5 are enough")) in outputs


# --- idle time ------------------------------------------------------------------------------


def test_a_stream_on_which_nothing_comes_ends_after_its_idle_time(client: Any) -> None:
    session = opened(client, idle_seconds=20.0)
    assert session.deadline() == 20.0
    assert session.receive_timeout(19.9) == []

    assert session.receive_timeout(20.0) == [
        CloseContainer(1001, "stream was idle"),
        SendError(
            StreamError(
                "ModelStreamError",
                "ModelInvocationTimeExceeded",
                "The stream was idle for 20 seconds.",
            )
        ),
        EndStream(),
    ]
    ending = session.ending
    assert ending is not None
    assert (ending.by, ending.clause) == ("emulator", "K5")
    assert "(idle_seconds)" in ending.why
    assert session.deadline() is None


def test_a_part_and_a_frame_each_begin_the_idle_time_anew(client: Any) -> None:
    session = opened(client, idle_seconds=20.0)
    send(session, client, client.part(b"hello"), now=15.0)
    assert session.deadline() == 35.0
    session.receive_frame(Frame(Opcode.TEXT, b"hello"), 30.0)
    assert session.deadline() == 50.0
    assert session.receive_timeout(35.0) == []
    assert session.receive_timeout(50.0) != []


def test_pings_and_pongs_and_pieces_of_a_part_keep_no_stream_from_being_idle(client: Any) -> None:
    session = Session(ContractSettings(ping_interval=15.0, idle_seconds=20.0), client.chain(), 0.0)
    (ping,) = session.receive_timeout(15.0)
    assert isinstance(ping, SendFrame)
    session.receive_frame(Frame(Opcode.PONG, ping.frame.payload), 15.1)
    session.receive_frame(Frame(Opcode.PING, b"?"), 16.0)
    send(session, client, client.part(b"cut off")[:-1], now=17.0)
    assert session.deadline() == 20.0


def test_without_the_setting_a_stream_may_be_idle_for_all_its_life(client: Any) -> None:
    session = opened(client, lifetime=math.inf)
    assert session.deadline() == 1e9


def test_what_the_client_of_an_idle_stream_sees_is_a_setting(client: Any) -> None:
    shown = StreamError("error", "Idle", "{seconds} s")
    session = opened(client, idle_seconds=2.5, idle_error=shown)
    assert SendError(StreamError("error", "Idle", "2.5 s")) in session.receive_timeout(2.5)


def test_a_stream_that_has_lived_its_longest_was_not_ended_for_being_idle(client: Any) -> None:
    session = opened(client, idle_seconds=30.0, lifetime=30.0)
    session.receive_timeout(30.0)
    assert session.ending is not None
    assert session.ending.clause == "K2"
