"""Emulators for tests: a pytest plugin.

    @pytest.fixture
    def emulator_endpoints() -> dict[str, str]:
        return {"voxtral": "ws://127.0.0.1:8080"}

    @pytest.mark.scenario("container-dies", after_parts=20)
    async def test_my_client_reconnects(emulator):
        ...

Each fixture can be overridden. The certificate authority is made once for all tests; an emulator is
started for each. What goes wrong inside an emulator is raised in the test, not swallowed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from sagemaker_bidi import Config, Emulator
    from sagemaker_bidi.faults.plan import Plan
    from sagemaker_bidi.scenarios import Scenario
    from sagemaker_bidi.tap import Tap

async_fixture: Callable[..., Any]
try:
    from pytest_asyncio import fixture as async_fixture
except ImportError:
    # anyio's plugin runs asynchronous fixtures of pytest's own.
    async_fixture = pytest.fixture


class EmulatorFactory(Protocol):
    """Starts emulators; they are stopped after the test."""

    async def __call__(
        self,
        endpoints: Mapping[str, str] | None = None,
        *,
        config: Config | None = None,
        plans: Sequence[Plan] = (),
        taps: Sequence[Tap] = (),
    ) -> Emulator:
        """Start one on a free port; for the arguments see `Emulator`."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "scenario(name, **parameters): the fixture `emulator` has this failure of the catalogue",
    )


@pytest.fixture(scope="session")
def emulator_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the local certificate authority; made once, no user's own."""
    return tmp_path_factory.mktemp("bidi")


@pytest.fixture
def emulator_endpoints() -> Mapping[str, str]:
    """Container addresses by endpoint name; override it with your own."""
    return {}


@pytest.fixture
def emulator_config() -> Config:
    """Everything else that an emulator can be told; override it with your own."""
    from sagemaker_bidi import Config

    return Config(port=0)


@pytest.fixture
def emulator_failures() -> Iterator[list[BaseException]]:
    """What has gone wrong inside emulators so far; raised when the test is over.

    A test that wants it so takes this fixture and clears the list.
    """
    handler = _Failures()
    logger = logging.getLogger("bidi")
    logger.addHandler(handler)
    yield handler.found
    logger.removeHandler(handler)
    if handler.found:
        raise BaseExceptionGroup("something went wrong inside the emulator", handler.found)


@async_fixture
async def emulator_factory(
    emulator_state: Path, emulator_failures: list[BaseException]
) -> AsyncIterator[EmulatorFactory]:
    """Starts emulators for a test that needs more than one, or one of its own."""
    from sagemaker_bidi import Config, Emulator

    async with contextlib.AsyncExitStack() as stack:

        async def start(
            endpoints: Mapping[str, str] | None = None,
            *,
            config: Config | None = None,
            plans: Sequence[Plan] = (),
            taps: Sequence[Tap] = (),
        ) -> Emulator:
            return await stack.enter_async_context(
                Emulator(
                    endpoints,
                    config=config or Config(port=0),
                    plans=plans,
                    taps=taps,
                    state=emulator_state,
                )
            )

        yield start


@async_fixture
async def emulator(
    request: pytest.FixtureRequest,
    emulator_factory: EmulatorFactory,
    emulator_endpoints: Mapping[str, str],
    emulator_config: Config,
) -> Emulator:
    """An emulator on a free port, with the scenarios that the test's marks name."""
    from sagemaker_bidi.scenarios.apply import apply

    chosen = [_chosen(mark) for mark in request.node.iter_markers("scenario")]
    config, plans = apply(emulator_config, list(reversed(chosen)))
    return await emulator_factory(emulator_endpoints, config=config, plans=plans)


@pytest.fixture
def emulator_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that makes an AWS SDK use `emulator`, set for the test."""
    environment = emulator.trust()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def _chosen(mark: pytest.Mark) -> str | Scenario:
    """A mark's scenario: a text as `--scenario` takes it, or with the mark's parameters."""
    if len(mark.args) != 1 or not isinstance(mark.args[0], str):
        raise pytest.UsageError('write the mark as @pytest.mark.scenario("NAME", parameter=value)')
    if not mark.kwargs:
        return mark.args[0]
    from sagemaker_bidi.scenarios.written import written

    return written(mark.args[0]).with_parameters(**mark.kwargs)


class _Failures(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.found.append(record.exc_info[1])
        else:
            self.found.append(RuntimeError(record.getMessage()))
