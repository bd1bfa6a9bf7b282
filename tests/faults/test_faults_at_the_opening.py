"""Each fault on an invocation before its stream is open, on real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest
from h2.errors import ErrorCodes

from sagemaker_bidi import ManualClock
from sagemaker_bidi.faults.kinds.goaway import Goaway
from sagemaker_bidi.faults.kinds.never_headers import NeverHeaders
from sagemaker_bidi.faults.kinds.refuse import Refuse
from sagemaker_bidi.faults.kinds.refuse_upgrade import RefuseUpgrade
from sagemaker_bidi.faults.kinds.reset_stream import ResetStream
from sagemaker_bidi.faults.kinds.silence import Silence
from sagemaker_bidi.faults.kinds.slow_accept import SlowAccept
from sagemaker_bidi.faults.kinds.tcp_reset import TcpReset
from sagemaker_bidi_fixtures.containers.echo import echo
from tests.faults.faulted import faulted
from tests.faults.stage import rule
from tests.transport.world import world


async def test_an_invocation_is_refused_and_the_next_one_is_taken() -> None:
    fault = Refuse(400, "ThrottlingException", "Rate exceeded")
    async with faulted(rule(fault, "opening", sessions=1)) as w:
        refused = await w.client.open()
        body = json.loads(await refused.finished())
        assert refused.status == 400
        assert refused.headers["x-amzn-errortype"] == "ThrottlingException"
        assert body["Message"] == "Rate exceeded"
        taken = await (await w.client.open()).opened()
        await w.exchange(taken)
        assert w.container.requests[1:] == ()


@pytest.mark.clause("O4")
async def test_a_refused_upgrade_is_the_services_own_424() -> None:
    async with faulted(rule(RefuseUpgrade(), "opening")) as w:
        stream = await w.client.open()
        body = json.loads(await stream.finished())
        assert stream.status == 424
        assert body["ErrorCode"] == "INTERNAL_FAILURE_FROM_MODEL"
        assert body["OriginalMessage"] == "Failed to establish WebSocket connection"


@pytest.mark.clause("O3")
async def test_a_container_that_takes_longer_than_250_ms_is_refused_after_250_ms() -> None:
    clock = ManualClock()
    async with faulted(rule(SlowAccept(0.4), "opening"), clock=clock) as w:
        stream = await w.client.open()
        await w.client.ping()
        await clock.advance(0.24)
        await w.client.ping()
        assert not stream.over
        await clock.advance(0.01)
        await stream.finished()
        assert stream.status == 424


async def test_a_container_that_takes_less_is_only_slow() -> None:
    async with faulted(rule(SlowAccept(0.05), "opening")) as w:
        stream = await (await w.client.open()).opened()
        await w.exchange(stream)


async def test_headers_never_come_until_the_removal() -> None:
    async with faulted(rule(NeverHeaders(), "opening")) as w:
        stream = await w.client.open()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await stream.opened()

        w.emulator.faults.remove("plan")
        await stream.opened()
        await w.exchange(stream)


@pytest.mark.clause("O10")
async def test_without_its_sidecar_an_endpoint_takes_the_call_and_opens_no_websocket() -> None:
    async with world(echo) as w, w.emulator.scenario("sidecar-missing"):
        stream = await w.client.open()
        async with asyncio.timeout(20):
            while not w.emulator._faults._watched:
                await w.client.ping()
        assert (stream.headers, stream.over) == ({}, False)
        assert w.container.requests == ()

        w.emulator.faults.remove("sidecar-missing")
        await w.exchange(await stream.opened())


async def test_a_client_that_waits_no_longer_for_its_headers_leaves_nothing() -> None:
    async with faulted(rule(NeverHeaders(), "opening")) as w:
        stream = await w.client.open()
        await w.client.ping()
        stream.cancel()
        await w.client.ping()
        async with asyncio.timeout(20):
            while w.emulator._faults._watched:
                await w.client.ping()
        assert w.watch.gone == ["received RST_STREAM CANCEL"]


async def test_a_stream_may_be_reset_instead_of_opened() -> None:
    async with faulted(rule(ResetStream("REFUSED_STREAM"), "opening")) as w:
        stream = await w.client.open()
        await stream.finished()
        assert stream.reset == ErrorCodes.REFUSED_STREAM
        assert stream.headers == {}


async def test_a_connection_may_be_told_to_go_away_while_its_first_stream_opens() -> None:
    async with faulted(rule(Goaway(), "opening")) as w:
        stream = await (await w.client.open()).opened()
        assert w.client.goaway == ErrorCodes.NO_ERROR
        await w.exchange(stream)


async def test_a_connection_may_be_reset_while_its_first_stream_opens() -> None:
    async with faulted(rule(TcpReset(), "opening")) as w:
        stream = await w.client.open()
        await stream.finished()
        assert w.client.lost
        assert stream.headers == {}


async def test_a_connection_may_go_dead_while_its_first_stream_opens() -> None:
    async with faulted(rule(Silence(), "opening")) as w:
        stream = await w.client.open()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await stream.opened()

        w.emulator.faults.remove("plan")
        await stream.opened()
        await w.exchange(stream)
