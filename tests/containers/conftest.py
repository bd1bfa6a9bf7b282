"""Each test of hosting gives back every task and socket, and may drive a clock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.driven import DrivenClock
from tests.transport.world import check_nothing_left, open_sockets


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task or a socket behind."""
    sockets = open_sockets()
    yield
    await check_nothing_left(sockets)


@pytest.fixture
async def clock() -> DrivenClock:
    """A clock that the test moves."""
    return DrivenClock()
