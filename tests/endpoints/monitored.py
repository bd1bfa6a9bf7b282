"""An emulator or a monitor over containers whose health is watched."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.health import Status, Strictness
from sagemaker_bidi.contract.settings import ContractSettings
from sagemaker_bidi.endpoints.endpoints import Endpoint, Variant
from sagemaker_bidi.endpoints.monitor import Monitor
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.server import Ping
from tests.transport.lean_client import LeanClient, LeanStream

STARTING = 0.5
RUNNING = 5.0
OK = b"HTTP/1.1 200 OK\r\n\r\n"


def endpoint(*urls: str) -> Endpoint:
    return Endpoint("e", tuple(Variant(f"v{n}", url) for n, url in enumerate(urls, 1)))


def monitor_of(
    hosted: Endpoint, clock: Clock, strictness: Strictness = "strict"
) -> tuple[Monitor, Variant]:
    return Monitor([hosted], ContractSettings(), clock, strictness), hosted.variants[0]


@asynccontextmanager
async def watching(
    url: str, clock: Clock, strictness: Strictness = "strict"
) -> AsyncIterator[tuple[Monitor, Variant]]:
    monitor, variant = monitor_of(endpoint(url), clock, strictness)
    await monitor.start()
    try:
        yield monitor, variant
    finally:
        await monitor.stop()


@asynccontextmanager
async def serving(
    ping: Ping, clock: Clock, *, health: Strictness = "strict"
) -> AsyncIterator[tuple[Emulator, EchoContainer]]:
    # The client signs with wall time, which a test's clock runs away from.
    config = Config(port=0, health=health, contract={"max_skew": 10_000})
    async with (
        EchoContainer(port=0, ping=ping) as container,
        Emulator({"echo": container.url}, config=config, clock=clock) as emulator,
    ):
        yield emulator, container


def status(emulator: Emulator) -> Status:
    (only,) = emulator.status("echo").values()
    return only


async def refused(emulator: Emulator) -> tuple[int, str, str]:
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await client.open()
        body = json.loads(await stream.finished())
        return stream.status, stream.headers["x-amzn-errortype"], body["Message"]


async def echoes(stream: LeanStream) -> bool:
    await stream.send(b"hello")
    event = await stream.receive()
    return event is not None and event.message.payload == b"hello"


async def works(emulator: Emulator) -> bool:
    async with LeanClient(emulator.url, emulator.ca) as client:
        return await echoes(await client.open())


def lines(caplog: pytest.LogCaptureFixture, level: int, logger: str = "bidi.hosting") -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelno) == (logger, level)
    ]
