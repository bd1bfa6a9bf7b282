"""The emulator on real sockets with a plan in force, and its books looked at afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sagemaker_bidi.faults.plan import Plan, Rule
from sagemaker_bidi.session.record import SessionRecord
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.echo import echo
from sagemaker_bidi_fixtures.containers.server import FrameServer
from tests.transport.world import World, world


@asynccontextmanager
async def faulted(
    *rules: Rule,
    container: FrameServer | Callable[[FrameSocket], Awaitable[None]] = echo,
    seed: int = 0,
    **options: Any,
) -> AsyncIterator[World]:
    """A world whose emulator has the plan `plan`; every session's account balances at the end."""
    async with world(container, **options) as w:
        w.emulator.faults.add(Plan("plan", rules, seed))
        yield w
    for record in w.emulator.sessions:
        assert_balanced(record)
    assert w.emulator._faults._watched == {}
    assert w.emulator._faults._open == {}


def assert_balanced(record: SessionRecord) -> None:
    """Everything that a session accepted has been delivered or lost."""
    assert not record.open
    assert record.account.balanced, record.account


def lost(record: SessionRecord) -> dict[tuple[str, str], int]:
    """How many messages were lost, by way and reason."""
    return {(loss.way, loss.why): loss.messages for loss in record.lost}
