"""Each test of the transport gives back every task and socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.transport.world import check_nothing_left, open_sockets


@pytest.fixture(autouse=True)
async def nothing_left(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail a test that leaves a task or a socket behind."""
    if request.node.get_closest_marker("sdk") or "test_with_the_sdk" in request.node.nodeid:
        # awscrt closes its sockets on threads of its own, in its own time.
        yield
        return
    sockets = open_sockets()
    yield
    await check_nothing_left(sockets)
