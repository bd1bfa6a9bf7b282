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
from tests.transport.lean_client import LeanClient, Lost


async def exchange(emulator, count=1):
    async with LeanClient(emulator.url, emulator.ca) as client:
        stream = await (await client.open()).opened()
        received = []
        for number in range(count):
            try:
                await stream.send(str(number).encode())
            except Lost:
                break
            event = await stream.receive()
            if event is None or ":exception-type" in event.message.headers:
                break
            received.append(event.message.payload)
        return received
"""


def run(pytester: pytest.Pytester, text: str, *, conftest: str = CONFTEST) -> pytest.RunResult:
    """Run tests in a project of their own."""
    pytester.makeconftest(conftest)
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
        running.append(emulator_factory(emulator_endpoints))
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


def test_tests_without_a_loop_use_the_same_fixtures(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import asyncio

@pytest.fixture
def emulator_endpoints(echo_container):
    return {"echo": echo_container.url}

def test_it_serves(emulator):
    assert asyncio.run(exchange(emulator, 2)) == [b"0", b"1"]
    [session] = emulator.sessions
    session.join()
    assert [part.payload for part in session.received] == [b"0", b"1"]

@pytest.mark.scenario("throttled", times=2)
def test_refused_twice_then_fine(emulator):
    async def statuses():
        async with LeanClient(emulator.url, emulator.ca) as client:
            return [(await (await client.open()).opened()).status for _ in range(4)]
    assert asyncio.run(statuses()) == [400, 400, 200, 200]

@pytest.mark.scenario("thirty-minute-cap", lifetime=900.0, time_scale=3600)
def test_a_quarter_of_an_hour_is_over_in_a_quarter_of_a_second(emulator):
    async def last():
        async with LeanClient(emulator.url, emulator.ca) as client:
            return (await (await (await client.open()).opened()).receive()).message
    assert b"ModelInvocationTimeExceeded" in asyncio.run(last()).payload

def test_a_clock_of_its_own(emulator_factory, emulator_endpoints):
    from sagemaker_bidi import Config, ManualClock, RealClock
    clock = ManualClock(unscaled=RealClock())
    config = Config.model_validate({"port": 0, "contract": {"lifetime": 50.0}})
    emulator = emulator_factory(emulator_endpoints, config=config, clock=clock)
    async def last():
        async with LeanClient(emulator.url, emulator.ca) as client:
            stream = await (await client.open()).opened()
            await clock.advance(51)
            return (await stream.receive()).message
    assert b"ModelInvocationTimeExceeded" in asyncio.run(last()).payload
""",
        conftest="",
    )
    result.assert_outcomes(passed=4)


def test_what_the_shell_has_of_aws_is_cleared_for_the_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "left-over")
    result = run(
        pytester,
        """
import os

def test_it_is_gone(emulator_environment):
    assert "AWS_SESSION_TOKEN" not in os.environ

def test_it_is_back():
    assert os.environ["AWS_SESSION_TOKEN"] == "left-over"
""",
        conftest="",
    )
    result.assert_outcomes(passed=2)


def test_a_stand_in_for_voxtral_is_there_for_an_endpoint(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import asyncio
from sagemaker_bidi_client import Delivery, load, open_stream, transcribe
from sagemaker_bidi_fixtures.speech import recording

@pytest.fixture
def emulator_endpoints(stand_in):
    return {"voxtral": stand_in.url}

def test_it_knows_the_words(emulator_environment):
    speech = recording("quick-brown-fox")
    async def words():
        async with open_stream("voxtral") as stream:
            return (await transcribe(load(speech.path), stream, Delivery(speed=0))).text
    assert asyncio.run(words()).strip() == speech.words.strip()
""",
        conftest="",
    )
    result.assert_outcomes(passed=1)


def test_a_client_of_the_sdk_is_ready_for_tests_with_a_loop_and_without(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    result = run(
        pytester,
        """
import asyncio
from aws_sdk_sagemaker_runtime_http2.models import (
    InvokeEndpointWithBidirectionalStreamInput,
    RequestPayloadPart,
    RequestStreamEventPayloadPart,
)

@pytest.fixture
def emulator_endpoints(echo_container):
    return {"echo": echo_container.url}

async def talk(client):
    stream = await client.invoke_endpoint_with_bidirectional_stream(
        InvokeEndpointWithBidirectionalStreamInput(endpoint_name="echo")
    )
    _, output = await stream.await_output()
    await stream.input_stream.send(
        RequestStreamEventPayloadPart(value=RequestPayloadPart(bytes_=b"hello"))
    )
    answer = (await output.receive()).value.bytes_
    await stream.input_stream.close()
    return answer

def test_without_a_loop(sagemaker_client):
    assert asyncio.run(talk(sagemaker_client)) == b"hello"

async def test_with_a_loop(sagemaker_client):
    assert await talk(sagemaker_client) == b"hello"
""",
        conftest="",
    )
    result.assert_outcomes(passed=2)


def test_a_mark_without_the_fixture_that_has_the_failure_says_so(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
@pytest.mark.scenario("throttled")
async def test_nothing_is_throttled():
    pass

@pytest.mark.scenario("throttled")
async def test_it_is_used_by_another_fixture(emulator_environment):
    pass
""",
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*does not use the fixture `emulator`*"])


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
