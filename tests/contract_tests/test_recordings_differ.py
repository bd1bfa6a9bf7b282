"""A recording that the target answers otherwise: what is wrong, where, and in every report."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest

from sagemaker_bidi.recordings.files import read_recording
from sagemaker_bidi_contract.verdicts import Verdict
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.misbehaving import CloseAfter, MisbehavingContainer
from tests.contract_tests import endpoints, running
from tests.contract_tests.recorded import FILES, echoed, stem, wrong
from tests.contract_tests.test_check_command import bidi_on
from tests.recordings.made import ended, part, written


async def test_it_is_failed_with_its_context_and_the_closest_recording(tmp_path: Path) -> None:
    close = echoed(tmp_path, name="close")
    page, data, xml = tmp_path / "r.html", tmp_path / "r.json", tmp_path / "r.xml"
    async with EchoContainer(port=0) as echo:
        done = await bidi_on(
            *(echo.url, "--recordings", str(wrong(tmp_path)), "--recordings", str(close)),
            *("--check", "recording"),
            *("--html", str(page), "--json", str(data), "--junit", str(xml)),
        )
    assert done.exit_code == 1
    shown = " ".join(done.output.split())
    says = (
        "message 1 differs: it was recorded otherwise; the closest recording is close.jsonl: "
        "1 of 1 message alike"
    )
    assert f"FAILED recording.wrong F1,F2 {says}" in shown
    assert "- 1 text something else" in shown
    assert "+ 1 text one" in shown
    assert "1 OK, 1 FAILED in" in shown

    (failed,) = (
        item
        for item in json.loads(data.read_text("utf-8"))["findings"]
        if item["verdict"] == "FAILED"
    )
    assert failed["summary"] == says
    assert failed["expected"] == "the answers in wrong.jsonl (scripted)"
    assert any("something else" in line["text"] for line in failed["exchange"])
    case = Tree.parse(xml).find(".//testcase[@name='recording.wrong']/failure")
    assert case is not None
    assert "something else" in (case.text or "")
    assert "something else" in page.read_text("utf-8")


async def test_another_end_is_a_difference(tmp_path: Path) -> None:
    async with MisbehavingContainer(CloseAfter(1, 1011, "died")) as container:
        (finding,) = (
            await running.check(container.url, "recording", recordings=(echoed(tmp_path),))
        ).findings
    assert finding.verdict is Verdict.FAILED
    assert "the target ended the session" in finding.summary
    assert "1011" in finding.summary


async def test_an_endpoint_s_is_failed_too(tmp_path: Path) -> None:
    async with endpoints.emulated() as emulator:
        (finding,) = (
            await endpoints.check(emulator.url, "recording", recordings=(wrong(tmp_path),))
        ).findings
    assert finding.verdict is Verdict.FAILED
    assert "message 1 differs" in finding.summary


async def test_the_rules_are_those_of_bidi_replay(tmp_path: Path) -> None:
    events = (
        part("client", '{"id": "1", "seed": 1}'),
        part("container", '{"id": "2", "seed": 2}'),
        ended(),
    )
    path = written(tmp_path, *events)
    async with EchoContainer(port=0) as echo:
        found = [
            (await running.check(echo.url, "recording", recordings=(path,), **more))
            .findings[0]
            .verdict
            for more in ({}, {"ignore": ("seed",)}, {"compare": "text"}, {"compare": "exact"})
        ]
    assert found == [Verdict.FAILED, Verdict.OK, Verdict.OK, Verdict.FAILED]


async def test_a_target_that_says_nothing_is_failed_in_time(tmp_path: Path) -> None:
    events = (part("client", "one", last=False), part("container", "two"), ended())
    path = written(tmp_path, *events, name="mute")
    async with EchoContainer(port=0) as echo:
        (finding,) = (
            await running.check(echo.url, "recording", recordings=(path,), timeout=0.3)
        ).findings
    assert finding.verdict is Verdict.FAILED
    assert "1 messages were recorded; 0 came, within 0.3 s" in finding.summary


@pytest.mark.parametrize("path", FILES, ids=stem)
def test_a_bundled_one_has_something_that_can_differ(path: Path) -> None:
    found = read_recording(path)
    answers = [event for event in found.events if getattr(event, "sender", "") == "container"]
    assert answers or found.refusal


async def test_one_whose_payloads_were_left_out_cannot_be_played(tmp_path: Path) -> None:
    path = tmp_path / "redacted.jsonl"
    path.write_text(
        '{"recording":1,"provenance":"scripted","redacted":["payloads"]}\n'
        '{"ms":0,"from":"client","layer":"part","type":"UTF8","size":3,"sha256":"00"}\n'
    )
    async with EchoContainer(port=0) as echo:
        (finding,) = (await running.check(echo.url, "recording", recordings=(path,))).findings
    assert finding.verdict is Verdict.FAILED
    assert "the payload was left out (--redact)" in finding.summary
