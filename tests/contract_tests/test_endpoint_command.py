"""`bidi check https://…` and the pytest plugin on an endpoint."""

import json
from pathlib import Path

import pytest

from sagemaker_bidi.faults.kinds.corrupt import Corrupt
from sagemaker_bidi_contract.endpoint.run import endpoint_checks
from sagemaker_bidi_contract.options import EndpointTarget
from tests.contract_tests.endpoints import emulated, rule
from tests.contract_tests.test_check_command import bidi, bidi_on, run_pytest


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["https://localhost:8443"], "name the endpoint to invoke with --endpoint-name"),
        (["https://localhost:8443/endpoints/a"], "has a path; write https://HOST:8443 alone"),
        (["https://"], "names no host"),
        (["https://localhost:80800"], "Port out of range"),
        (["https://localhost", "--endpoint-name", "a", "--behind", "me"], "it is one of echo,"),
        (
            ["https://localhost", "--endpoint-name", "a", "--ca", "/none"],
            "/none: no such file",
        ),
        (["https://localhost", "--endpoint-name", "a", "--variant", "b"], "write NAME=WEIGHT"),
        (["https://localhost", "--endpoint-name", "a", "--variant", "b=0"], "every weight is 0"),
    ],
)
def test_a_wrong_command_line_is_refused_in_words(arguments: list[str], says: str) -> None:
    done = bidi(*arguments)
    assert done.exit_code == 2
    assert says in done.output


def test_the_list_names_the_checks_of_the_target_and_what_they_need() -> None:
    lines = bidi("--list", "https://localhost").output.splitlines()
    assert [line.split()[0] for line in lines] == [check.id for check in endpoint_checks()]
    assert any("(needs stream, echo, slow, time)" in line for line in lines)


def test_the_port_is_8443_unless_given() -> None:
    assert EndpointTarget.parse("https://box").url == "https://box:8443"
    assert EndpointTarget.parse("https://[::1]:81").address == "[::1]:81"
    aws = EndpointTarget.parse("https://runtime.sagemaker.eu-west-1.amazonaws.com:8443")
    assert (aws.is_aws, EndpointTarget.parse("https://localhost").is_aws) == (True, False)


async def test_a_good_endpoint_ends_with_0_and_writes_the_reports(tmp_path: Path) -> None:
    page, data = tmp_path / "r.html", tmp_path / "r.json"
    async with emulated() as emulator:
        done = await bidi_on(
            *(emulator.url, "--endpoint-name", "echo", "--behind", "echo", "--clause", "F1"),
            *("--html", str(page), "--json", str(data)),
        )
    assert done.exit_code == 0, done.output
    assert json.loads(data.read_text("utf-8"))["passed"] is True
    assert "checks passed</h1>" in page.read_text("utf-8")


async def test_a_broken_endpoint_ends_with_1_and_shows_what_was_sent_and_received() -> None:
    async with emulated(None, rule(Corrupt("message-crc"))) as emulator:
        done = await bidi_on(
            *(emulator.url, "--endpoint-name", "echo", "--behind", "echo"),
            *("--check", "endpoint.part-headers"),
        )
    assert done.exit_code == 1
    assert "1 FAILED" in done.output
    assert "> PayloadPart (UTF8, COMPLETE, 3 bytes) one" in done.output
    assert "< bytes that are no message" in done.output


async def test_no_signature_and_no_token_is_in_a_report(tmp_path: Path) -> None:
    data = tmp_path / "r.json"
    async with emulated() as emulator:
        await bidi_on(
            *(emulator.url, "--endpoint-name", "echo", "--behind", "echo", "--clause", "O6"),
            *("--clause", "W4", "--json", str(data)),
        )
        secret = emulator.trust()["AWS_SECRET_ACCESS_KEY"]
    text = data.read_text("utf-8")
    assert secret not in text
    assert "Signature=" not in text
    assert "contract-check-no-token" not in text


async def test_the_plugin_makes_the_checks_of_an_endpoint(tmp_path: Path) -> None:
    async with emulated() as emulator:
        status, output = await run_pytest(
            tmp_path,
            *("--bidi-target", emulator.url, "--bidi-endpoint-name", "echo"),
            *("--bidi-behind", "echo", "-k", "text-part or unknown-key or upgrade-refused"),
        )
        strict, _ = await run_pytest(
            tmp_path,
            *("--bidi-target", emulator.url, "--bidi-endpoint-name", "echo"),
            *("--bidi-strict", "-k", "unknown-key"),
        )
    assert status == 0, output
    assert "2 passed, 1 skipped" in output
    assert "say that there is one with --behind refusing" in output
    assert strict == 1


async def test_the_plugin_asks_for_the_endpoint_name_before_any_test(tmp_path: Path) -> None:
    status, output = await run_pytest(tmp_path, "--bidi-target", "https://localhost:8443")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "name the endpoint to invoke" in output
