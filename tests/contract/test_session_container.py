"""What the container sends reaches the client, and how it ends decides how the stream ends."""

from __future__ import annotations

from typing import Any

import pytest

from sagemaker_bidi.contract.endings import CLEAN, ClosePolicy, CloseRule
from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.frames import COMPLETE, PARTIAL, UTF8, Frame, Opcode, Part
from sagemaker_bidi.contract.outputs import (
    CloseContainer,
    EndStream,
    Output,
    Party,
    SendError,
    SendPart,
)
from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.contract.settings import ContractSettings

ERROR_FRAME = b'{"ModelStreamError": {"ErrorCode": "OOM", "Message": "out of memory"}}'


@pytest.fixture
def session(client: Any) -> Session:
    return Session(ContractSettings(), client.chain(), 0.0)


def with_settings(client: Any, **settings: Any) -> Session:
    return Session(ContractSettings(**settings), client.chain(), 0.0)


def ended(session: Session) -> tuple[Party, str, StreamError | None]:
    assert session.ending is not None
    return session.ending.by, session.ending.clause, session.ending.error


# --- frames become parts --------------------------------------------------------------------


@pytest.mark.clause("F1")
@pytest.mark.clause("F3")
def test_each_frame_is_sent_on_as_one_part(session: Session) -> None:
    frames = [Frame(Opcode.TEXT, b"\xff", fin=False), Frame(Opcode.CONT, b"")]
    outputs = [output for frame in frames for output in session.receive_frame(frame, 1.0)]
    assert outputs == [SendPart(Part(b"\xff", UTF8, PARTIAL)), SendPart(Part(b"", UTF8, COMPLETE))]
    assert session.frames_received == 2


@pytest.mark.clause("F5")
def test_a_containers_ping_is_no_part_and_counts_as_no_frame(session: Session) -> None:
    assert session.receive_frame(Frame(Opcode.PING, b"x"), 1.0) == []
    assert session.frames_received == 0
    assert session.ending is None


@pytest.mark.clause("K1")
def test_a_containers_pong_is_no_part(session: Session) -> None:
    session.receive_timeout(60.0)
    assert session.unanswered_pings == 1
    assert session.receive_frame(Frame(Opcode.PONG, b"\0\0\0\1"), 61.0) == []
    assert (session.unanswered_pings, session.frames_received) == (0, 0)


# --- error frames ---------------------------------------------------------------------------


@pytest.mark.clause("E4")
def test_an_error_frame_is_an_error_for_the_client_and_no_part(session: Session) -> None:
    error = StreamError("ModelStreamError", "OOM", "out of memory")
    assert session.receive_frame(Frame(Opcode.TEXT, ERROR_FRAME), 1.0) == [
        CloseContainer(1000),
        SendError(error),
        EndStream(),
    ]
    assert ended(session) == ("container", "E4", error)
    assert session.frames_received == 1


@pytest.mark.clause("E4")
@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.BINARY, ERROR_FRAME),
        Frame(Opcode.TEXT, ERROR_FRAME, fin=False),
        Frame(Opcode.TEXT, b'{"text": "about ModelStreamError"}'),
    ],
    ids=["binary", "a fragment", "the model's own JSON"],
)
def test_what_is_no_error_frame_passes_untouched(session: Session, frame: Frame) -> None:
    (output,) = session.receive_frame(frame, 1.0)
    assert isinstance(output, SendPart)
    assert output.part.payload == frame.payload
    assert session.ending is None


@pytest.mark.clause("E4")
def test_by_setting_an_error_frame_is_a_part_like_any_other(client: Any) -> None:
    session = with_settings(client, error_frames=False)
    assert session.receive_frame(Frame(Opcode.TEXT, ERROR_FRAME), 1.0) == [
        SendPart(Part(ERROR_FRAME, UTF8, COMPLETE))
    ]


# --- the container ends ---------------------------------------------------------------------


@pytest.mark.clause("E2")
@pytest.mark.parametrize(("code", "said"), [(1000, "1000"), (1005, "no code")])
def test_a_normal_close_is_the_end_of_the_stream(session: Session, code: int, said: str) -> None:
    assert session.receive_close(code, "") == [EndStream()]
    assert ended(session) == ("container", "E2", None)
    assert session.ending is not None
    assert session.ending.why == f"received Close {said} (no reason) from the container"


@pytest.mark.clause("E1")
def test_another_close_is_an_error_with_its_code_and_reason(session: Session) -> None:
    error = StreamError("ModelStreamError", "1011", "CUDA error")
    assert session.receive_close(1011, "CUDA error") == [SendError(error), EndStream()]
    assert ended(session) == ("container", "E1", error)
    assert session.ending is not None
    assert session.ending.why == "received Close 1011 (CUDA error) from the container"


@pytest.mark.clause("E6")
@pytest.mark.parametrize("detail", ["", ": frame too big (sent 1009)"])
def test_a_connection_lost_without_a_close_frame_is_a_broken_stream(
    session: Session, detail: str
) -> None:
    error = StreamError(
        "ModelStreamError", "StreamBroken", "Model container closed the connection."
    )
    assert session.receive_close(1006, detail) == [SendError(error), EndStream()]
    assert ended(session) == ("container", "E6", error)
    assert session.ending is not None
    assert session.ending.why == f"the container's connection ended without a Close frame{detail}"


@pytest.mark.clause("E6")
def test_what_the_client_sees_of_a_lost_connection_is_a_setting(client: Any) -> None:
    lost = StreamError("InternalStreamFailure", "", "gone")
    session = with_settings(
        client, connection_lost_error=lost, close_policy=ClosePolicy(otherwise=CLEAN)
    )
    assert session.receive_close(1006, "") == [SendError(lost), EndStream()]


@pytest.mark.clause("E2")
def test_what_a_close_code_means_is_a_setting(client: Any) -> None:
    broken = StreamError("ModelStreamError", "StreamBroken", "Input stream broken")
    policy = ClosePolicy({1000: CloseRule(broken), 1011: CLEAN})
    assert with_settings(client, close_policy=policy).receive_close(1011, "x") == [EndStream()]
    assert with_settings(client, close_policy=policy).receive_close(1000, "") == [
        SendError(broken),
        EndStream(),
    ]


@pytest.mark.clause("E7")
@pytest.mark.parametrize(("code", "reset"), [(1011, True), (1000, False)])
def test_by_setting_an_error_ends_in_a_reset_and_a_clean_end_never_does(
    client: Any, code: int, reset: bool
) -> None:
    session = with_settings(client, reset_after_error=True)
    assert session.receive_close(code, "")[-1] == EndStream(reset=reset)


@pytest.mark.clause("E7")
def test_only_the_first_end_counts(session: Session) -> None:
    session.receive_frame(Frame(Opcode.TEXT, ERROR_FRAME), 1.0)
    ending = session.ending
    late: list[list[Output]] = [
        session.receive_close(1011, "late"),
        session.receive_frame(Frame(Opcode.TEXT, b"late"), 2.0),
        session.receive_metadata_end(1000),
        session.receive_timeout(1e9),
        session.shut_down(),
    ]
    assert late == [[]] * 5
    assert session.ending is ending
    assert session.deadline() is None


@pytest.mark.clause("M3")
def test_a_required_metadata_stream_that_is_lost_ends_the_data_stream(session: Session) -> None:
    error = ContractSettings().metadata_lost_error
    assert session.receive_metadata_end(1006) == [
        CloseContainer(1011, "metadata stream lost"),
        SendError(error),
        EndStream(),
    ]
    assert ended(session) == ("container", "M3", error)
