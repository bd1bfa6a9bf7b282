"""The pytest plugin as a user's own tests meet it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from sagemaker_bidi.scenarios import scenario

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
from sagemaker_bidi_fixtures.containers.echo import EchoContainer

@pytest.fixture
async def emulator_endpoints():
    async with EchoContainer(port=0) as container:
        yield {"echo": container.url}
"""
HEAD = """
import json

import pytest
from sagemaker_bidi import Emulator
from sagemaker_bidi.faults.plan import Plan, Rule, When
from tests.transport.lean_client import LeanClient

pytestmark = pytest.mark.asyncio

async def exchange(emulator, count=1):
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await (await client.open()).opened()
        received = []
        for number in range(count):
            await stream.send(str(number).encode())
            event = await stream.receive()
            if event is None or ":exception-type" in event.message.headers:
                break
            received.append(event.message.payload)
        return received
"""


def run(pytester: pytest.Pytester, text: str) -> pytest.RunResult:
    """Run tests in a project of their own."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(HEAD + text)
    pytester.makeini("[pytest]\nasyncio_mode = auto\naddopts = --strict-markers\n")
    known = importlib.metadata.entry_points(group="pytest11")
    plugin = (
        []
        if any(each.value == "sagemaker_bidi.testing.plugin" for each in known)
        else ["sagemaker_bidi.testing.plugin"]
    )
    root = Path(__file__).parents[2]
    options = [option for name in plugin for option in ("-p", name)]
    return pytester.runpytest_subprocess("-o", f"pythonpath={root}", *options, timeout=60)


def test_an_emulator_is_there_for_each_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
urls = []

async def test_it_serves(emulator):
    assert await exchange(emulator) == [b"0"]
    urls.append(emulator.ca)

async def test_another_one_has_the_same_authority(emulator):
    assert await exchange(emulator) == [b"0"]
    assert urls == [emulator.ca]
    assert len(emulator.sessions) == 1

def test_a_test_of_its_own_kind_needs_no_emulator():
    pass
""",
    )
    result.assert_outcomes(passed=3)


def test_a_scenario_comes_by_mark_by_block_or_by_plan(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from sagemaker_bidi.faults.kinds.drop import Drop

@pytest.mark.scenario("container-dies", after_parts=3)
async def test_the_mark(emulator):
    assert await exchange(emulator, 10) == [b"0", b"1", b"2"]

async def test_the_block(emulator):
    async with emulator.scenario("container-dies", after_parts=2):
        assert await exchange(emulator, 10) == [b"0", b"1"]
    assert len(await exchange(emulator, 10)) == 10
    [first, second] = emulator.sessions
    await second.wait_closed()
    assert (first.closed_by, second.closed_by) == ("container", "client")

async def test_the_plan(emulator):
    emulator.faults.add(Plan("loss", (Rule(Drop(), When("to-client", times=1)),)))
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await (await client.open()).opened()
        await stream.send(b"a")
        await stream.send(b"b")
        assert (await stream.receive()).message.payload == b"b"
    [lost] = emulator.sessions[0].lost
    assert (lost.way, lost.messages, lost.payload_bytes) == ("output", 1, 1)

@pytest.mark.scenario("container-close-1011", after_parts=1, reason="going away, soon \U0001f642")
async def test_a_text_of_any_kind(emulator):
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await (await client.open()).opened()
        await stream.send(b"a")
        await stream.receive()
        error = (await stream.receive()).message
    assert "going away, soon \U0001f642" in json.loads(error.payload)["Message"]

@pytest.mark.scenario("tls-untrusted")
async def test_a_scenario_that_needs_another_configuration(emulator):
    import ssl
    with pytest.raises(ssl.SSLCertVerificationError):
        await exchange(emulator)
""",
    )
    result.assert_outcomes(passed=5)


def test_the_test_line_of_a_scenario_that_changes_the_configuration_runs_as_it_is_shown(
    pytester: pytest.Pytester,
) -> None:
    shown = scenario("oversize").test_line
    result = run(
        pytester,
        f"""
{shown}
async def test_the_part_is_refused(emulator):
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await (await client.open()).opened()
        await stream.send(b"x" * 4097)
        error = (await stream.receive()).message
    assert "the limit is 4096" in error.headers[":error-message"]
""",
    )
    result.assert_outcomes(passed=1)


def test_what_goes_wrong_inside_the_emulator_is_raised_in_the_test(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
class Broken:
    name = "broken"
    async def act(self, session, scene):
        raise RuntimeError("a bug inside")

async def broken_session(emulator):
    emulator.faults.add(Plan("broken", (Rule(Broken(), When("opened")),)))
    await exchange(emulator)

async def test_it_is_raised(emulator):
    await broken_session(emulator)

async def test_it_is_wanted(emulator, emulator_failures):
    await broken_session(emulator)
    assert "a bug inside" in str(emulator_failures[0])
    emulator_failures.clear()
""",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*something went wrong inside the emulator*"])
    result.stdout.fnmatch_lines(["*a bug inside*"])


def test_emulators_of_ones_own_are_made_and_stopped(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
running = []

async def test_two(emulator_factory, emulator_endpoints):
    for _ in range(2):
        running.append(await emulator_factory(emulator_endpoints))
        assert await exchange(running[-1]) == [b"0"]
    assert running[0].url != running[1].url

async def test_they_are_gone():
    for emulator in running:
        with pytest.raises(OSError):
            await exchange(emulator)

async def test_the_environment_is_set(emulator_environment, emulator):
    import os
    assert os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2"] == emulator.url
""",
    )
    result.assert_outcomes(passed=3)


def test_a_mark_that_names_no_scenario_says_so(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.scenario("container-diess")
async def test_a_misprint(emulator):
    pass

@pytest.mark.scenario(after_parts=3)
async def test_no_name(emulator):
    pass
""",
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*did you mean container-dies*"])
