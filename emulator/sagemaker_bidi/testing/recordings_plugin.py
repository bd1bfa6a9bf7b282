"""pytest: `@pytest.mark.recording("NAME")` and the fixture `recorded`.

A test with the mark gets an endpoint that replays the recording; with `--bidi-record-mode` other
than `none` it is made first, of what `--bidi-record-target` names. What is heavy is imported when
a test asks for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sagemaker_bidi.replay.cassette import CassetteOptions

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
    from sagemaker_bidi.own_thread import OwnThread
    from sagemaker_bidi.replay.cassette import Cassette

    with contextlib.ExitStack() as entered:
        try:
            # Tests may be synchronous, or use any event loop.
            running = OwnThread(Cassette(_options(request)), "recording")
            cassette = entered.enter_context(running)
        except ValueError as error:
            pytest.fail(str(error), pytrace=False)
        emulator = cassette.emulator
        try:
            yield Recorded(
                emulator.url, emulator.ca, cassette.endpoint, emulator.trust(), cassette.records
            )
        finally:
            passed = request.node.stash.get(_PASSED, False)
            problems = running.run(cassette.finish(keep=passed))
    if problems and passed:
        pytest.fail("\n".join(problems), pytrace=False)


def _options(request: pytest.FixtureRequest) -> CassetteOptions:
    from sagemaker_bidi.replay.cassette import CassetteOptions
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
    return CassetteOptions(
        config.rootpath / folder if folder else request.path.parent / "recordings",
        mark.args[0],
        config.getoption("--bidi-record-mode"),
        config.getoption("--bidi-record-target"),
        compare,
        config.getoption("--bidi-record-provenance"),
    )
