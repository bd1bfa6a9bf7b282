"""A session that something beside its client and its container ends (E5, M3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.outputs import CloseContainer, EndStream, Output, SendError
from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.contract.settings import ContractSettings

ERROR = StreamError("InternalStreamFailure", "", "made up")


@pytest.fixture
def session(client: Any) -> Session:
    return Session(ContractSettings(), client.chain(), 0.0)


@pytest.mark.clause("E5")
def test_a_plan_may_end_it_with_an_error(session: Session) -> None:
    close, error, end = session.end(ERROR, "rule 1")

    assert close == CloseContainer(1001, "ended by a fault plan")
    assert error == SendError(ERROR)
    assert end == EndStream()
    assert session.ending is not None
    assert (session.ending.by, session.ending.why) == ("emulator", "rule 1")


@pytest.mark.clause("E2")
def test_a_plan_may_end_it_cleanly(session: Session) -> None:
    assert session.end(None, "rule 1") == [
        CloseContainer(1001, "ended by a fault plan"),
        EndStream(),
    ]
    assert session.ending is not None
    assert session.ending.error is None


@pytest.mark.clause("E5")
def test_an_endpoint_in_the_containers_place_passes_its_error_on(session: Session) -> None:
    assert session.receive_error(ERROR, "told by the endpoint") == [SendError(ERROR), EndStream()]
    assert session.ending is not None
    assert session.ending.by == "container"


@pytest.mark.clause("M3")
def test_a_required_metadata_stream_that_is_lost_ends_it(session: Session) -> None:
    close, error, end = session.receive_metadata_end(1006)

    assert close == CloseContainer(1011, "metadata stream lost")
    assert isinstance(error, SendError)
    assert "424" in error.error.message
    assert end == EndStream()
    assert session.ending is not None
    assert session.ending.clause == "M3"
    assert "1006" in session.ending.why


@pytest.mark.parametrize(
    "again",
    [
        lambda session: session.end(ERROR, "again"),
        lambda session: session.receive_error(ERROR, "again"),
        lambda session: session.receive_metadata_end(1000),
    ],
)
def test_what_has_ended_does_not_end_again(
    session: Session, again: Callable[[Session], list[Output]]
) -> None:
    session.end(ERROR, "first")

    assert again(session) == []
    assert session.ending is not None
    assert session.ending.why == "first"
