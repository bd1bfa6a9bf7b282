"""pytest: `@pytest.mark.recording("NAME")` and the fixture `recorded`.

A test with the mark gets an endpoint that replays the recording; with `--bidi-record-mode` other
than `none` it is made first, of what `--bidi-record-target` names. What is heavy is imported when
a test asks for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sagemaker_bidi.replay.cassette import Cassette, Plan

# As `sagemaker_bidi.recordings.format` has them, which takes a while to import.
PROVENANCES = ("real service", "real engine", "stand-in", "scripted", "unknown")
MARK = (
    'recording(name, compare="json"): play this recording to the test; `recorded` is the endpoint'
)
_PASSED: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("bidi", "SageMaker bidirectional streaming")
    group.addoption(
        "--bidi-record-mode",
        choices=("none", "once", "new", "all"),
        default="none",
        help="none: replay; once: record what is missing; new: also further sessions; all: anew",
    )
    group.addoption("--bidi-record-target", help="ws://HOST:PORT or https://HOST:8443/NAME")
    group.addoption(
        "--bidi-record-provenance",
        choices=PROVENANCES,
        default="unknown",
        help="what the target is",
    )
    parser.addini(
        "bidi_recordings", "folder of recordings; `recordings` beside the test unless given"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", MARK)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse a mark that would do nothing."""
    if item.get_closest_marker("recording") is None:
        return
    if "recorded" not in getattr(item, "fixturenames", ()):
        raise pytest.UsageError(
            f"{item.nodeid} has the mark `recording` and does not use the fixture `recorded`, "
            "which is the recording's endpoint"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note whether the test itself passed: only then its recording is kept."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@dataclass(frozen=True)
class Recorded:
    """What a test may use of its recording's endpoint.

    Args:
        url: for `endpoint_url`.
        ca: the CA file to trust.
        endpoint: its name.
        environment: what makes an AWS SDK use it.
        recording: whether this run makes the recording.
    """

    url: str
    ca: Path
    endpoint: str
    environment: dict[str, str]
    recording: bool


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    """An endpoint that plays the recording of the test's mark, or records.

    The test fails where it says something else than was recorded, or opens no session.
    """
    running = _Running(_plan(request))
    try:
        cassette = running.start()
    except ValueError as error:
        pytest.fail(str(error), pytrace=False)
    emulator = cassette.emulator
    try:
        yield Recorded(
            emulator.url, emulator.ca, cassette.endpoint, emulator.trust(), cassette.records
        )
    finally:
        passed = request.node.stash.get(_PASSED, False)
        problems = running.stop(keep=passed)
    if problems and passed:
        pytest.fail("\n".join(problems), pytrace=False)


def _plan(request: pytest.FixtureRequest) -> Plan:
    from sagemaker_bidi.replay.cassette import Plan
    from sagemaker_bidi.replay.compare import MODES

    mark = request.node.get_closest_marker("recording")
    if mark is None or len(mark.args) != 1:
        raise pytest.UsageError(
            'the fixture `recorded` needs @pytest.mark.recording("NAME") on the test'
        )
    compare = mark.kwargs.get("compare", "json")
    if compare not in MODES:
        raise pytest.UsageError(f"recording(compare={compare!r}): expected {', '.join(MODES)}")
    config = request.config
    folder = config.getini("bidi_recordings")
    return Plan(
        config.rootpath / folder if folder else request.path.parent / "recordings",
        mark.args[0],
        config.getoption("--bidi-record-mode"),
        config.getoption("--bidi-record-target"),
        compare,
        config.getoption("--bidi-record-provenance"),
    )


class _Running:
    """A cassette on a thread of its own: tests may be synchronous, or use any event loop."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        # Every run of pytest, in any project, imports this file; few of them an event loop.
        import asyncio

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="recording")
        self._cassette: Cassette | None = None

    def start(self) -> Cassette:
        self._thread.start()
        try:
            cassette: Cassette = self._run(self._start())
        except BaseException:
            self._close()
            raise
        self._cassette = cassette
        return cassette

    def stop(self, *, keep: bool) -> list[str]:
        assert self._cassette is not None
        try:
            problems: list[str] = self._run(self._cassette.finish(keep=keep))
            return problems
        finally:
            self._close()

    async def _start(self) -> Cassette:
        from sagemaker_bidi.replay.cassette import Cassette

        return await Cassette(self._plan).__aenter__()

    def _run(self, work: Any) -> Any:
        import asyncio

        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
