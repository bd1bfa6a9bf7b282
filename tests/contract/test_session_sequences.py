"""Whatever happens in whatever order, a session ends once and says nothing after its end."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.contract.outputs import (
    CloseContainer,
    EndStream,
    Output,
    SendError,
    SendFrame,
    SendPart,
)
from sagemaker_bidi.contract.session import Session
from sagemaker_bidi.contract.settings import ContractSettings

type Step = Callable[[Session, Any, float], list[Output]]


def data(make: Callable[[Any], bytes]) -> Step:
    return lambda session, client, now: session.receive_data(make(client), now=now, utc=client.utc)


def frame(opcode: Opcode, payload: bytes, fin: bool = True) -> Step:
    return lambda session, _, now: session.receive_frame(Frame(opcode, payload, fin), now)


GOING_ON: list[Step] = [
    data(lambda client: client.part(b"a", DataType="UTF8")),
    data(lambda client: client.part(b"b", CompletionState="PARTIAL")),
    data(lambda client: client.part(b"c") + client.part(b"d")),
    data(lambda _: b""),
    frame(Opcode.TEXT, b"text"),
    frame(Opcode.BINARY, b"\0", fin=False),
    frame(Opcode.CONT, b""),
    frame(Opcode.PING, b""),
    frame(Opcode.PONG, b"\0\0\0\1"),
    lambda session, _, now: session.receive_timeout(now),
]
ENDING: list[Step] = [
    data(lambda client: client.part(b"", DataType="x")),
    data(lambda client: client.part(b"a") + client.end() + client.part(b"late")),
    data(lambda client: client.part(b"a") + b"\0" * 12),
    data(lambda client: b"\0" * 12),
    frame(Opcode.TEXT, b'{"ModelStreamError": {"ErrorCode": "a", "Message": "b"}}'),
    lambda session, _, now: session.receive_end(now),
    lambda session, _, now: session.receive_reset("gone"),
    lambda session, _, now: session.receive_close(1000, ""),
    lambda session, _, now: session.receive_close(1005, ""),
    lambda session, _, now: session.receive_close(1006, ""),
    lambda session, _, now: session.receive_close(1011, "x"),
    lambda session, _, now: session.receive_metadata_end(1006),
    lambda session, _, now: session.receive_timeout(now + 1800.0),
    lambda session, _, now: session.shut_down(),
]

_settings = st.builds(
    ContractSettings,
    reassemble=st.booleans(),
    reset_after_error=st.booleans(),
    error_frames=st.booleans(),
    missed_pongs=st.integers(1, 3),
)
_steps = st.lists(st.tuples(st.sampled_from(GOING_ON + ENDING), st.floats(0.0, 90.0)), max_size=12)


@pytest.mark.clause("E7")
@given(settings=_settings, steps=_steps)
def test_a_session_ends_once_and_is_silent_afterwards(
    new_client: Callable[[], Any],
    settings: ContractSettings,
    steps: list[tuple[Step, float]],
) -> None:
    client = new_client()
    session = Session(settings, client.chain(), 0.0)
    outputs: list[Output] = []
    now, ending = 0.0, None
    for step, seconds in steps:
        now += seconds
        said = step(session, client, now)
        outputs += said
        if ending is not None:
            assert said == []
            assert session.ending is ending
        ending = session.ending
        deadline = session.deadline()
        assert (deadline is None) == (ending is not None)
        assert deadline is None or 0.0 < deadline <= 1800.0
    check(session, outputs, settings)


def check(session: Session, outputs: list[Output], settings: ContractSettings) -> None:
    """The end comes last and once, the container is closed before the client is told."""
    kinds = [type(output) for output in outputs]
    ending = session.ending
    if ending is None:
        assert set(kinds) <= {SendFrame, SendPart}
        return
    last = [kind for kind in kinds if kind not in (SendFrame, SendPart)]
    assert kinds[-len(last) :] == last
    assert kinds.count(SendError) == (ending.error is not None)
    assert last in (
        [EndStream],
        [CloseContainer],
        [CloseContainer, EndStream],
        [SendError, EndStream],
        [CloseContainer, SendError, EndStream],
    )
    if ending.error is not None:
        assert SendError(ending.error) in outputs
        assert outputs[-1] == EndStream(reset=settings.reset_after_error)
    data_frames = [
        output
        for output in outputs
        if isinstance(output, SendFrame) and output.frame.opcode is not Opcode.PING
    ]
    assert session.frames_sent == len(data_frames)
    assert kinds.count(SendPart) == session.frames_received - (ending.clause == "E4")


@pytest.mark.clause("E3")
@pytest.mark.parametrize("ending", range(len(ENDING)))
def test_each_way_to_end_ends_a_session(client: Any, ending: int) -> None:
    session = Session(ContractSettings(), client.chain(), 0.0)
    outputs = ENDING[ending](session, client, 1.0)
    assert session.ending is not None
    check(session, outputs, ContractSettings())


@pytest.mark.clause("E3")
@pytest.mark.parametrize("step", GOING_ON)
def test_none_of_the_other_steps_ends_it(client: Any, step: Step) -> None:
    session = Session(ContractSettings(), client.chain(), 0.0)
    step(session, client, 1.0)
    assert session.ending is None
    assert session.deadline() == 60.0


@pytest.mark.clause("K5")
def test_a_session_that_has_ended_holds_nothing_of_the_input(client: Any) -> None:
    session = Session(ContractSettings(reassemble=True), client.chain(), 0.0)
    session.receive_data(
        client.part(bytes(100_000), CompletionState="PARTIAL") + client.part(bytes(100_000))[:-1],
        now=1.0,
        utc=client.utc,
    )
    assert held(session) > 200_000
    session.receive_close(1000, "")
    session.receive_data(bytes(100_000), now=2.0, utc=client.utc)
    assert held(session) < 10_000


def held(thing: object, depth: int = 4) -> int:
    """Bytes in the buffers that an object holds."""
    if isinstance(thing, bytes | bytearray):
        return len(thing)
    if depth == 0:
        return 0
    inside = thing.values() if isinstance(thing, dict) else getattr(thing, "__dict__", {}).values()
    return sum(held(each, depth - 1) for each in inside)


@pytest.mark.clause("K1")
def test_a_stream_without_a_longest_life_is_still_pinged(client: Any) -> None:
    session = Session(ContractSettings(lifetime=math.inf), client.chain(), 0.0)
    assert session.deadline() == 60.0
