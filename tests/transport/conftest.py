"""Each test of the transport gives back every task and socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.transport.world import names_of_other_tasks, open_sockets


@pytest.fixture(autouse=True)
async def nothing_left(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail a test that leaves a task or a socket behind."""
    if request.node.get_closest_marker("sdk") or "test_with_the_sdk" in request.node.nodeid:
        # awscrt closes its sockets on threads of its own, in its own time.
        yield
        return
    sockets = open_sockets()
    yield
    # A transport closes its socket in the loop's next round.
    for _ in range(10):
        await asyncio.sleep(0)
    assert names_of_other_tasks() == []
    assert open_sockets() - sockets == set()
