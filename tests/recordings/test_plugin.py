"""`@pytest.mark.recording`: tests that replay, and the modes in which they record."""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sagemaker_bidi.recordings.files import read_recording
from sagemaker_bidi.recordings.format import PROVENANCES
from sagemaker_bidi.testing import recordings_plugin
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.recordings.made import ended, part, written

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "recordings.md"
PLUGIN = "sagemaker_bidi.testing.recordings_plugin"
INI = """
[pytest]
filterwarnings = error
asyncio_default_fixture_loop_scope = function
"""

TEST = """
import pytest
from sagemaker_bidi_client.connect import open_stream

@pytest.mark.asyncio
@pytest.mark.recording("hello")
async def test_it(recorded, monkeypatch):
    for name, value in recorded.environment.items():
        monkeypatch.setenv(name, value)
    for text in {texts!r}:
        async with open_stream(recorded.endpoint, endpoint_url=recorded.url) as stream:
            await stream.opened()
            await stream.send_text(text)
            part = await stream.receive()
            assert part.data.decode() == text
    assert {passes}
"""


@pytest.fixture
async def target() -> AsyncIterator[EchoContainer]:
    async with EchoContainer(port=0) as container:
        yield container


class Runs:
    """Runs a test file in a process of its own."""

    def __init__(self, pytester: pytest.Pytester, target: str) -> None:
        self.pytester = pytester
        self.target = target
        self.folder = pytester.path / "recordings"
        known = importlib.metadata.entry_points(group="pytest11")
        self._plugin = () if any(p.value == PLUGIN for p in known) else ("-p", PLUGIN)

    async def __call__(
        self, mode: str, *texts: str, passes: bool = True, text: str = ""
    ) -> pytest.RunResult:

        self.pytester.makepyfile(test_it=text or TEST.format(texts=texts, passes=passes))
        return await asyncio.to_thread(
            self.pytester.runpytest_subprocess,
            *self._plugin,
            "-p",
            "no:cacheprovider",
            "--bidi-record-mode",
            mode,
            *(("--bidi-record-target", self.target) if mode != "none" else ()),
        )

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*")) if self.folder.exists() else []

    def said(self, name: str = "hello") -> list[str | None]:
        found = read_recording(self.folder / f"{name}.jsonl")
        return [e.text for e in found.events if e.layer == "part" and e.sender == "client"]


@pytest.fixture
def runs(pytester: pytest.Pytester, target: EchoContainer) -> Runs:
    pytester.makeini(INI)
    return Runs(pytester, target.url)


async def test_none_without_a_recording_fails_and_says_how_to_make_one(runs: Runs) -> None:
    result = await runs("none", "one")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no recording 'hello' in*--bidi-record-mode once*"])


async def test_none_replays_what_was_recorded_and_needs_no_target(runs: Runs) -> None:
    written(runs.folder, part("client", "one"), part("container", "one"), ended(), name="hello")

    (await runs("none", "one")).assert_outcomes(passed=1)


async def test_none_fails_where_the_client_says_something_else(runs: Runs) -> None:
    written(runs.folder, part("client", "one"), part("container", "two"), ended(), name="hello")
    result = await runs("none", "two")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*of the client's, message 1 differs*"])


async def test_none_fails_where_nothing_is_played_or_too_much_is_asked_for(runs: Runs) -> None:
    written(runs.folder, part("client", "one"), part("container", "one"), ended(), name="hello")

    result = await runs("none")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*0 of its 1 sessions were opened*"])


async def test_once_records_what_is_missing_and_replays_it_from_then_on(
    runs: Runs, target: EchoContainer
) -> None:
    (await runs("once", "one", "two")).assert_outcomes(passed=1)
    asked = len(target.requests)
    assert runs.files() == ["hello-2.jsonl", "hello.jsonl"]
    assert (runs.said(), runs.said("hello-2")) == (["one"], ["two"])

    (await runs("once", "one", "two")).assert_outcomes(passed=1)
    (await runs("none", "one", "two")).assert_outcomes(passed=1)
    assert len(target.requests) == asked == 2


async def test_new_replays_what_there_is_and_records_the_sessions_beyond(
    runs: Runs, target: EchoContainer
) -> None:
    written(runs.folder, part("client", "one"), part("container", "one"), ended(), name="hello")

    (await runs("new", "one", "two")).assert_outcomes(passed=1)

    assert runs.files() == ["hello-2.jsonl", "hello.jsonl"]
    assert runs.said("hello-2") == ["two"]
    assert len(target.requests) == 1


async def test_all_records_anew_and_leaves_no_older_session(runs: Runs) -> None:
    (await runs("once", "one", "two")).assert_outcomes(passed=1)

    (await runs("all", "three")).assert_outcomes(passed=1)

    assert runs.files() == ["hello.jsonl"]
    assert runs.said() == ["three"]


async def test_a_test_that_fails_leaves_the_recording_as_it_was(runs: Runs) -> None:
    (await runs("once", "one")).assert_outcomes(passed=1)

    (await runs("all", "two", passes=False)).assert_outcomes(failed=1)

    assert runs.said() == ["one"]


async def test_a_recording_of_nothing_fails(runs: Runs) -> None:
    result = await runs("once")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*nothing was recorded for 'hello'*"])
    assert runs.files() == []


async def test_a_mark_without_its_fixture_is_refused(runs: Runs) -> None:
    result = await runs(
        "none", text="import pytest\n@pytest.mark.recording('a')\ndef test_it(): pass\n"
    )

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*does not use the fixture `recorded`*"])


async def test_the_test_of_the_page_records_and_replays(runs: Runs) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    imports = "import pytest\nfrom sagemaker_bidi_client import open_stream\n"
    text = f"{imports}\n@pytest.mark.asyncio\n{example}"

    (await runs("once", text=text)).assert_outcomes(passed=1)
    (await runs("none", text=text)).assert_outcomes(passed=1)
    assert runs.said() == ["hello"]


def test_the_plugin_knows_every_provenance() -> None:
    assert recordings_plugin.PROVENANCES == PROVENANCES


def test_the_name_of_a_recording_leads_into_no_other_folder(tmp_path: Path) -> None:
    from sagemaker_bidi.recordings.files import RecordingError
    from sagemaker_bidi.replay.cassette import Cassette, CassetteOptions

    with pytest.raises(RecordingError, match=r"is no name of a recording"):
        Cassette(CassetteOptions(tmp_path, "../secrets"))
