"""What every test may use: a local CA of the run's own, an echo container, an emulator."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.emulator import CONNECTION_FAILED
from sagemaker_bidi_fixtures.containers.echo import EchoContainer

# These first build an image, load an engine or fetch a release of an SDK.
SLOW_TO_START = ("docker", "gpu", "node", "sdk", "vllm")
SLOW_TO_START_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """More time for tests that first build or install what they run; Linux for those it is for."""
    for item in items:
        if sys.platform != "linux" and item.get_closest_marker("linux"):
            item.add_marker(pytest.mark.skip(reason="it looks at what only Linux has"))
        if any(item.get_closest_marker(name) for name in SLOW_TO_START):
            item.add_marker(pytest.mark.timeout(SLOW_TO_START_SECONDS), append=False)


def pytest_sessionfinish() -> None:
    """What the SDK leaves behind complains when it is collected: before pytest's closing line."""
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the local CA; no test touches the user's own."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIDI_STATE_DIR", str(folder))
        yield folder


class _Failures(logging.Handler):
    """What failed inside the emulator without ending the test."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == CONNECTION_FAILED:
            self.records.append(record)


@pytest.fixture(autouse=True)
def failed_connections() -> Iterator[list[logging.LogRecord]]:
    """Connections that ended by a bug of the emulator's; a test that means them to clears it."""
    failures = _Failures()
    logger = logging.getLogger("bidi")
    logger.addHandler(failures)
    yield failures.records
    logger.removeHandler(failures)
    assert not failures.records, "a connection failed by a bug: see the captured log"


@pytest.fixture
async def echo() -> AsyncIterator[EchoContainer]:
    """A container that sends each frame back."""
    async with EchoContainer(port=0) as container:
        yield container


@pytest.fixture
async def emulator(echo: EchoContainer) -> AsyncIterator[Emulator]:
    """An emulator whose endpoint `echo` is the container `echo`; it has more time than O3 gives."""
    config = Config(port=0, contract={"accept_seconds": 10.0})
    async with Emulator({"echo": echo.url}, config=config) as running:
        yield running
