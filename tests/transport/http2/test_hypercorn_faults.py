"""Why Hypercorn's HTTP/2 layer is not the one that serves: five faults, measured on this traffic.

Each behaviour is written once and seen twice, by the same client: on our layer, where it has to
hold, and on Hypercorn as it comes, where the fault has to be. A fault that is gone fails its test
too: then there is less for a layer of our own to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, PingFrame

from tests.transport.http2.raw_client import RawClient
from tests.transport.http2.two_servers import Stage, hypercorns, ours
from tests.transport.lean_client import Lost

# Enough for a server that has anything to say to have said it: it answers a PING each time.
MANY = 30


async def data_after_the_end(stage: Stage, client: RawClient) -> str:
    client.open(1)
    await client.exchange(1)
    client.open(3, "/end")
    await client.until(lambda: 3 in client.ended)
    await client.round_trip(MANY)
    client.send(*[DataFrame(3, bytes(1_000))] * 5)
    try:
        await client.exchange(1)
        await client.round_trip(MANY)
    except Lost:
        return "the connection was lost with all its streams"
    return "the siblings went on"


async def a_session_that_reads_nothing(stage: Stage, client: RawClient) -> str:
    client.open(1)
    await client.exchange(1)
    before = client.body[1]
    client.open(3, "/stall")
    await client.answered(3)
    client.send(*[DataFrame(3, b"unread")] * 20)
    client.send(PingFrame(0, b"sibling?"), DataFrame(1, b"sibling?"))
    async with RawClient(stage.port) as other:
        await other.round_trip(MANY)
    answered = b"sibling?" in client.pings, client.body[1] > before
    stage.released.set()
    await client.until(lambda: b"sibling?" in client.pings and client.body[1] > before)
    return {
        (True, True): "PINGs and siblings were answered",
        (False, False): "PINGs and siblings waited until it read",
    }[answered]


async def an_application_that_raises(stage: Stage, client: RawClient) -> str:
    client.open(3, "/raise")
    await client.answered(3)
    await stage.done.wait()
    await client.round_trip(MANY)
    if (code := client.reset(3)) is not None:
        return f"RST_STREAM {ErrorCodes(code).name}"
    return "END_STREAM" if 3 in client.ended else "neither END_STREAM nor RST_STREAM"


async def a_reset_that_a_session_commands(stage: Stage, client: RawClient) -> str:
    client.open(3, "/reset")
    await client.answered(3)
    await stage.done.wait()
    await client.round_trip(MANY)
    code = client.reset(3)
    return "nothing was sent" if code is None else f"RST_STREAM {ErrorCodes(code).name}"


async def a_goaway_that_a_session_commands(stage: Stage, client: RawClient) -> str:
    client.open(3, "/goaway")
    await client.answered(3)
    await stage.done.wait()
    await client.round_trip(MANY)
    if client.goaway is None:
        return "nothing was sent"
    return f"GOAWAY {ErrorCodes(client.goaway.error_code).name}"


async def a_window_that_a_session_withholds(stage: Stage, client: RawClient) -> str:
    client.open(3, "/withhold")
    await client.answered(3)
    for _ in range(40):
        # One at a time, so that what is taken is taken before more comes.
        client.send(DataFrame(3, bytes(1_000)))
        await client.round_trip()
    async with asyncio.timeout(10):
        while stage.taken < 40_000:
            await client.round_trip()
    await client.round_trip(MANY)
    return "it was credited" if client.credits[3] else "it stayed closed"


async def a_tcp_reset_that_a_session_commands(stage: Stage, client: RawClient) -> str:
    client.open(3, "/abort")
    with contextlib.suppress(Lost):
        await client.answered(3)
        await client.round_trip(MANY)
    return "the connection was reset" if client.aborted else "nothing happened"


async def an_idle_connection(stage: Stage, client: RawClient) -> str:
    client.open(1, "/end", end=True)
    await client.until(lambda: 1 in client.ended)
    await client.round_trip(MANY)
    with later(6.0), contextlib.suppress(Lost):
        await client.round_trip(MANY)
    return "closed within 6 s" if client.lost else "kept"


async def the_receive_windows(stage: Stage, client: RawClient) -> str:
    await client.until(lambda: client.settings)
    await client.round_trip(MANY)
    stream = client.settings.get(SettingCodes.INITIAL_WINDOW_SIZE, 65_535)
    return f"{stream} for a stream, {65_535 + client.credits[0]} for the connection"


@contextlib.contextmanager
def later(seconds: float) -> Iterator[None]:
    """Let so much time pass for every timer of the event loop, at once."""
    loop = asyncio.get_running_loop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "time", lambda: time.monotonic() + seconds)
        yield


@dataclass(frozen=True)
class Behaviour:
    """What is seen on either server.

    Args:
        fault: its number in the list of what was measured.
        of: tells in words what it saw.
        holds: on our layer.
        as_it_comes: on Hypercorn.
    """

    fault: int
    of: Callable[[Stage, RawClient], Awaitable[str]]
    holds: str
    as_it_comes: str

    @property
    def id(self) -> str:
        return f"{self.fault} {self.of.__name__}"


BEHAVIOURS = [
    Behaviour(
        1,
        data_after_the_end,
        "the siblings went on",
        "the connection was lost with all its streams",
    ),
    Behaviour(
        2,
        a_session_that_reads_nothing,
        "PINGs and siblings were answered",
        "PINGs and siblings waited until it read",
    ),
    Behaviour(
        3,
        an_application_that_raises,
        "RST_STREAM INTERNAL_ERROR",
        "neither END_STREAM nor RST_STREAM",
    ),
    Behaviour(4, a_reset_that_a_session_commands, "RST_STREAM CANCEL", "nothing was sent"),
    Behaviour(4, a_goaway_that_a_session_commands, "GOAWAY ENHANCE_YOUR_CALM", "nothing was sent"),
    Behaviour(4, a_window_that_a_session_withholds, "it stayed closed", "it was credited"),
    Behaviour(
        4, a_tcp_reset_that_a_session_commands, "the connection was reset", "nothing happened"
    ),
    Behaviour(5, an_idle_connection, "kept", "closed within 6 s"),
    Behaviour(
        5,
        the_receive_windows,
        "65535 for a stream, 16777216 for the connection",
        "65535 for a stream, 65535 for the connection",
    ),
]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.id)
async def test_our_layer_does_not_have_the_fault(behaviour: Behaviour) -> None:
    async with ours() as stage, RawClient(stage.port) as client:
        assert await behaviour.of(stage, client) == behaviour.holds


# It restarts its idle timer for a connection that is gone, and lets the coroutine fall.
@pytest.mark.filterwarnings("ignore:coroutine 'TCPServer._idle_timeout' was never awaited")
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.id)
async def test_hypercorn_as_it_comes_has_the_fault(behaviour: Behaviour) -> None:
    async with hypercorns() as stage, RawClient(stage.port) as client:
        seen = await behaviour.of(stage, client)

    assert seen == behaviour.as_it_comes, (
        f"Hypercorn no longer has fault {behaviour.fault} ({behaviour.of.__name__}): {seen}"
    )
