"""Recordings as checks of the suite: every bundled one is played, and a difference is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sagemaker_bidi.recordings.files import read_recording
from sagemaker_bidi.recordings.format import Header
from sagemaker_bidi_contract.container.run import container_checks
from sagemaker_bidi_contract.endpoint.run import run_endpoint_checks
from sagemaker_bidi_contract.image.run import image_checks
from sagemaker_bidi_contract.options import EndpointTarget, Options, TargetError
from sagemaker_bidi_contract.replay.choice import BUNDLED
from sagemaker_bidi_contract.targets import checks_for
from sagemaker_bidi_contract.verdicts import Verdict
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.contract_tests import endpoints, running
from tests.contract_tests.recorded import (
    FILES,
    Unclaimed,
    behind_an_endpoint,
    echoed,
    recorded_target,
    stem,
    wrong,
)
from tests.contract_tests.test_check_command import bidi, bidi_on, run_pytest
from tests.recordings.made import part, recording
from tests.recordings.make_sessions import BRIDGED

OTHER = Header(provenance="scripted", container="somebody else's")
PATIENCE = 60.0


class TestEveryBundledRecording:
    def test_there_are_some_and_the_suite_bundles_them(self) -> None:
        assert len(FILES) >= 10
        assert [path.parent for path in FILES] == [BUNDLED] * len(FILES)

    @pytest.mark.parametrize("path", FILES, ids=stem)
    async def test_it_is_played_to_its_container(self, path: Path) -> None:
        async with recorded_target(read_recording(path)) as address:
            report = await running.check(address, "recording", recordings=(path,), timeout=PATIENCE)
        (finding,) = report.findings
        assert (finding.verdict, finding.check) == (Verdict.OK, f"recording.{path.stem}"), finding
        assert report.exit_status == 0

    @pytest.mark.parametrize("path", FILES, ids=stem)
    async def test_it_is_played_to_its_container_behind_an_endpoint(self, path: Path) -> None:
        async with (
            recorded_target(read_recording(path)) as address,
            behind_an_endpoint(address) as emulator,
        ):
            report = await endpoints.check(
                emulator.url, "recording", recordings=(path,), timeout=PATIENCE
            )
        (finding,) = report.findings
        assert (finding.verdict, finding.check) == (Verdict.OK, f"recording.{path.stem}"), finding
        assert report.exit_status == 0

    async def test_a_new_one_that_no_test_plays_fails(self) -> None:
        made = recording(part("client", "one"), name="new", header=OTHER)
        with pytest.raises(Unclaimed, match=r"new\.jsonl is a recording of \"somebody else's\""):
            async with recorded_target(made):
                pass


class TestWhichArePlayed:
    async def test_those_that_are_given_are_played_beside_the_other_checks(
        self, tmp_path: Path
    ) -> None:
        async with EchoContainer(port=0) as echo:
            done = await bidi_on(
                *(echo.url, "--recordings", str(echoed(tmp_path)), "--check", "container.pong"),
                *("--check", "recording"),
            )
        assert done.exit_code == 0, done.output
        assert "OK            recording.made F1,F2 1 frame sent, 1 message alike" in done.output
        assert "2 OK in" in done.output

    async def test_a_target_that_says_what_it_is_gets_the_bundled_ones_of_it_and_no_others(
        self,
    ) -> None:
        async with EchoContainer(port=0) as echo:
            done = await bidi_on(echo.url, "--container", "Echo", "--check", "recording")
        assert done.exit_code == 0, done.output
        assert "recording.fragments" in done.output
        assert f"1 OK, {len(FILES) - 1} SKIPPED" in done.output
        assert f"it was recorded of '{BRIDGED}', and the target is 'Echo'" in " ".join(
            done.output.split()
        )

    async def test_a_vllm_bridge_gets_the_bundled_ones_of_the_bridge(self) -> None:
        async with recorded_target(read_recording(BUNDLED / "errors.jsonl")) as address:
            report = await running.check(address, "recording", container=BRIDGED, timeout=PATIENCE)
        played = {item.check for item in report.findings if item.verdict is Verdict.OK}
        assert played == {"recording.errors", "recording.one-utterance", "recording.two-utterances"}
        assert report.exit_status == 0

    def test_without_a_word_of_them_there_are_none(self) -> None:
        assert not any(check.id.startswith("recording") for check in checks_for("", Options()))

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("--recordings", "EMPTY"), "there is no recording (*.jsonl) to play"),
            (("--recordings", "none.jsonl"), "none.jsonl: cannot be read"),
            (("--recordings", "BROKEN"), "broken.jsonl:1: no recording"),
            (("--container", "a toaster"), "no recording of it is in the bundled ones"),
            (("--container", "a toaster"), "'echo'"),
            (("--recordings", "GOOD", "--container", "x"), "so nothing would be played"),
            (("--recordings", "GOOD", "--check", "container.pong"), "add --check recording"),
            (("--recordings", "GOOD", "--check", "recording.no"), "near it: recording.made"),
            (("--check", "recording"), "say which recordings there are, --recordings"),
            (("--recordings", "GOOD", "--compare", "closely"), "one of exact, json, text"),
        ],
    )
    def test_a_command_that_would_play_none_is_refused(
        self, tmp_path: Path, arguments: tuple[str, ...], says: str
    ) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "broken.jsonl").write_text("{}\n")
        places = {
            "EMPTY": str(tmp_path / "empty"),
            "BROKEN": str(tmp_path / "broken.jsonl"),
            "GOOD": str(echoed(tmp_path)),
        }
        done = bidi("ws://127.0.0.1:1", *(places.get(each, each) for each in arguments))
        assert done.exit_code == 2
        assert says in done.output

    async def test_nothing_can_be_played_to_a_target_that_is_not_there(
        self, tmp_path: Path
    ) -> None:
        address = f"ws://127.0.0.1:{running.unused_port()}"
        done = await bidi_on(address, "--recordings", str(echoed(tmp_path)), "--check", "recording")
        assert done.exit_code == 1
        assert "nothing listens at" in done.output

    def test_two_of_one_name_are_two_checks(self, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            echoed(tmp_path / folder)
        options = Options(recordings=(tmp_path / "a", tmp_path / "b"), checks=("recording",))
        found = [check.id for check in container_checks(options)]
        assert found == ["recording.made", "recording.made-2"]

    def test_an_image_plays_them_to_its_container_and_the_list_shows_them_once(
        self, tmp_path: Path
    ) -> None:
        options = Options(recordings=(echoed(tmp_path),), checks=("recording", "image.label"))
        assert [check.id for check in image_checks(options)] == ["image.label", "recording.made"]
        listed = [check.id for check in checks_for("", options)]
        assert listed.count("recording.made") == 1
        shown = bidi("--list", "--recordings", str(options.recordings[0]))
        assert "recording.made F1,F2 It answers as it is recorded in made.jsonl" in shown.output
        with pytest.raises(TargetError):
            image_checks(Options(container="a toaster"))

    def test_what_a_recording_has_in_it_says_which_clauses_it_shows(self) -> None:
        options = Options(recordings=(BUNDLED,), checks=("recording",))
        clauses = {check.id.partition(".")[2]: check.clauses for check in container_checks(options)}
        assert clauses["one-utterance"] == ("F1", "F2")
        assert clauses["fragments"] == ("F1", "F2", "F3")
        assert clauses["close-1000"] == ("F1", "F2", "E2")
        assert clauses["close-1011"] == ("F1", "F2", "E1")
        assert clauses["connection-lost"] == ("F1", "F2", "E6")
        assert clauses["refused"] == ("O4", "O7")


async def test_the_plugin_plays_them_as_tests(tmp_path: Path) -> None:
    good, bad = echoed(tmp_path), wrong(tmp_path)
    async with EchoContainer(port=0) as echo:
        passed, output = await run_pytest(
            tmp_path,
            *("--bidi-target", echo.url, "--bidi-recordings", str(good), "-k", "recording"),
        )
        failed, shown = await run_pytest(
            tmp_path,
            *("--bidi-target", echo.url, "--bidi-recordings", str(bad), "-k", "recording"),
        )
    assert passed == 0, output
    assert "test_contract[recording.made]" in output
    assert "1 passed" in output
    assert failed == 1
    assert "message 1 differs" in shown
    assert "Traceback" not in shown


async def test_the_plugin_refuses_to_play_nothing(tmp_path: Path) -> None:
    status, output = await run_pytest(
        tmp_path, "--bidi-target", "ws://127.0.0.1:1", "--bidi-recordings", str(tmp_path)
    )
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "there is no recording (*.jsonl) to play" in output


async def test_region_and_ca_are_those_of_the_options(tmp_path: Path) -> None:
    async with endpoints.emulated(region="eu-west-1") as emulator:
        with endpoints.environment(
            {
                name: value
                for name, value in emulator.trust().items()
                if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            }
        ):
            os.environ.pop("SSL_CERT_FILE", None)
            options = Options(
                endpoint_name="echo",
                region="eu-west-1",
                ca=emulator.ca,
                recordings=(echoed(tmp_path),),
                checks=("recording",),
            )
            report = await run_endpoint_checks(EndpointTarget.parse(emulator.url), options)
            left = {name for name in ("AWS_REGION", "SSL_CERT_FILE") if name in os.environ}
    (finding,) = report.findings
    assert finding.verdict is Verdict.OK, finding.summary
    assert left == set()
