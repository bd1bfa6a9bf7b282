"""Emulators for tests: a pytest plugin.

    @pytest.fixture
    def emulator_endpoints(echo_container) -> dict[str, str]:
        return {"voxtral": echo_container.url}

    @pytest.mark.scenario("container-dies", after_parts=20)
    async def test_my_client_reconnects(emulator, emulator_environment):
        ...

    def test_my_command_says_what_went_wrong(emulator, emulator_environment):
        with emulator.scenario("throttled"):
            done = subprocess.run(…)

Each fixture can be overridden. The certificate authority is made once for all tests; an emulator is
started for each, on a thread of its own, so that tests with a loop, without one, and such as block
theirs may use it. What goes wrong inside an emulator is raised in the test, not swallowed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from sagemaker_bidi import Clock, Config, Emulator
    from sagemaker_bidi.faults.plan import Plan
    from sagemaker_bidi.scenarios import Scenario
    from sagemaker_bidi.tap import Tap
    from sagemaker_bidi.testing.stand_in import StandIn
    from sagemaker_bidi_fixtures.containers.echo import EchoContainer


class EmulatorFactory(Protocol):
    """Starts emulators; they are stopped after the test."""

    def __call__(
        self,
        endpoints: Mapping[str, str] | None = None,
        *,
        config: Config | None = None,
        plans: Sequence[Plan] = (),
        taps: Sequence[Tap] = (),
        clock: Clock | None = None,
    ) -> Emulator:
        """Start one on a free port; for the arguments see `Emulator`."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "scenario(name, time_scale=1, **parameters): the fixture `emulator` has this failure of "
        "the catalogue",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a mark that would do nothing."""
    if item.get_closest_marker("scenario") and "emulator" not in getattr(item, "fixturenames", ()):
        pytest.fail(
            "this test has the mark `scenario` and does not use the fixture `emulator`, which is "
            "what has the failure; name it, or `emulator_environment`, among its arguments",
            pytrace=False,
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


@pytest.fixture
def emulator_factory(
    emulator_state: Path, emulator_failures: list[BaseException]
) -> Iterator[EmulatorFactory]:
    """Starts emulators for a test that needs more than one, or one of its own."""
    from sagemaker_bidi import Config, Emulator

    with contextlib.ExitStack() as stack:

        def start(
            endpoints: Mapping[str, str] | None = None,
            *,
            config: Config | None = None,
            plans: Sequence[Plan] = (),
            taps: Sequence[Tap] = (),
            clock: Clock | None = None,
        ) -> Emulator:
            return stack.enter_context(
                Emulator(
                    endpoints,
                    config=config or Config(port=0),
                    plans=plans,
                    taps=taps,
                    clock=clock,
                    state=emulator_state,
                )
            )

        yield start


@pytest.fixture
def emulator(
    request: pytest.FixtureRequest,
    emulator_factory: EmulatorFactory,
    emulator_endpoints: Mapping[str, str],
    emulator_config: Config,
) -> Emulator:
    """An emulator on a free port, with the scenarios that the test's marks name."""
    from sagemaker_bidi.scenarios.apply import apply

    marks = list(request.node.iter_markers("scenario"))
    config, plans = apply(emulator_config, [_chosen(mark) for mark in reversed(marks)])
    scales = [mark.kwargs["time_scale"] for mark in marks if "time_scale" in mark.kwargs]
    if scales:
        config = config.model_copy(update={"time_scale": float(scales[0])})
    return emulator_factory(emulator_endpoints, config=config, plans=plans)


@pytest.fixture
def emulator_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """The environment that makes an AWS SDK use `emulator`, for the test.

    What of the shell's own would win over it is cleared: a session token, a profile.
    """
    environment = emulator.environment()
    for name in environment.cleared:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.variables.items():
        monkeypatch.setenv(name, value)
    return environment.variables


@pytest.fixture
def sagemaker_client(emulator: Emulator, emulator_environment: Mapping[str, str]) -> Any:
    """A client of the AWS SDK that is ready to invoke the endpoints of `emulator`.

    It is of whatever release is installed, from 0.4 to the newest.
    """
    import asyncio

    from sagemaker_bidi.extras import needs

    with needs("client", "the fixture `sagemaker_client`"):
        from sagemaker_bidi.testing.sdk import ready_client
    # A loop for the occasion, which takes no other's place.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(ready_client(emulator.url, emulator.ca.read_bytes(), emulator.region))


@pytest.fixture
def echo_container() -> Iterator[EchoContainer]:
    """A container that sends every frame back, on a thread of its own; `url` is for an endpoint."""
    from sagemaker_bidi.own_thread import OwnThread
    from sagemaker_bidi_fixtures.containers.echo import EchoContainer

    with OwnThread(EchoContainer(port=0), "echo") as container:
        yield container


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """Voxtral without its model: the bridge before a stand-in for vLLM; `url` is for an endpoint.

    It knows the bundled recordings by their sound, and says their words.
    """
    from sagemaker_bidi.own_thread import OwnThread

    try:
        from sagemaker_bidi.testing.stand_in import voxtral
    except ModuleNotFoundError as error:
        pytest.fail(
            f"the fixture `stand_in` needs more than is installed ({error}): "
            "pip install 'sagemaker-bidi[demo]'",
            pytrace=False,
        )
    with OwnThread(voxtral(), "stand-in") as running:
        yield running


def _chosen(mark: pytest.Mark) -> str | Scenario:
    """A mark's scenario: a text as `--scenario` takes it, or with the mark's parameters."""
    if len(mark.args) != 1 or not isinstance(mark.args[0], str):
        raise pytest.UsageError('write the mark as @pytest.mark.scenario("NAME", parameter=value)')
    parameters = {name: value for name, value in mark.kwargs.items() if name != "time_scale"}
    if not parameters:
        return mark.args[0]
    from sagemaker_bidi.scenarios.written import written

    return written(mark.args[0]).with_parameters(**parameters)


class _Failures(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.found.append(record.exc_info[1])
        else:
            self.found.append(RuntimeError(record.getMessage()))
