"""Each test of endpoints gives back every task and socket, and may drive a clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.driven import DrivenClock
from tests.transport.world import names_of_other_tasks, open_sockets


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task or a socket behind."""
    sockets = open_sockets()
    yield
    # A transport closes its socket in the loop's next round.
    for _ in range(10):
        await asyncio.sleep(0)
    assert names_of_other_tasks() == []
    assert open_sockets() - sockets == set()


@pytest.fixture
async def clock() -> DrivenClock:
    """A clock that the test moves."""
    return DrivenClock()
