"""`bidi check IMAGE`: ours passes, and what is wrong with another is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from sagemaker_bidi.containers.hosted import ImageRun
from sagemaker_bidi.containers.image import LABEL
from sagemaker_bidi_contract.image.run import run_image_checks
from sagemaker_bidi_contract.options import Options, TargetError
from sagemaker_bidi_contract.verdicts import Finding, Report, Verdict
from tests.docker.command import LIMIT_SECONDS, Command
from tests.docker.conftest import PREFIX

pytestmark = pytest.mark.docker


def found(report: Report) -> dict[str, Finding]:
    return {finding.check: finding for finding in report.findings}


async def test_all_checks_of_our_image_are_ok(bidi_images: Mapping[str, str], model: Path) -> None:
    run = ImageRun(bidi_images["voxtral"], model=model)
    report = await run_image_checks(run, Options(model_protocol="vllm-realtime"))
    verdicts = {check: finding.verdict for check, finding in found(report).items()}
    of_image = {check: verdict for check, verdict in verdicts.items() if check.startswith("image.")}
    assert set(of_image.values()) == {Verdict.OK}, of_image
    assert len(of_image) == 7
    assert report.failures == ()
    assert verdicts["realtime.utterance"] is Verdict.OK
    assert "exit code 0" in found(report)["image.sigterm"].summary
    assert report.passed


@pytest.fixture(scope="module")
def unfit(bidi_images: Mapping[str, str]) -> str:
    """An image without the label, whose entrypoint is a shell's."""
    return build("unfit", f"FROM {PREFIX}/base:latest", "ENTRYPOINT python3 -m http.server 8080")


@pytest.fixture(scope="module")
def with_model(bidi_images: Mapping[str, str]) -> str:
    """Our image with a model in it, as people deploy it who mount none."""
    return build("with-model", f"FROM {bidi_images['voxtral']}", "ENV SM_VLLM_MODEL=/opt/weights")


def build(name: str, *dockerfile: str) -> str:
    """Build a small image; gives its name."""
    image = f"{PREFIX}/{name}:latest"
    subprocess.run(
        ["docker", "build", "--tag", image, "-"],
        input="\n".join(dockerfile).encode(),
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        check=True,
        capture_output=True,
        timeout=LIMIT_SECONDS,
    )
    return image


async def test_a_missing_label_and_an_entrypoint_in_shell_form_are_both_named(unfit: str) -> None:
    findings = found(await run_image_checks(ImageRun(unfit), Options(checks=("image",))))
    assert findings["image.label"].verdict is Verdict.FAILED
    assert findings["image.label"].summary == "the label is missing"
    assert findings["image.exec-form"].verdict is Verdict.FAILED
    assert "the argument `serve` is lost" in findings["image.exec-form"].summary
    assert findings["image.starts"].verdict is Verdict.FAILED
    assert findings["image.sigterm"].verdict is Verdict.SKIPPED


async def test_an_image_that_is_not_here_is_named() -> None:
    with pytest.raises(TargetError, match="there is no image no-such/image here"):
        await run_image_checks(ImageRun("no-such/image"))


async def test_a_container_that_ends_at_once_fails_the_check_without_eight_minutes_of_waiting(
    bidi_images: Mapping[str, str],
) -> None:
    run = ImageRun(bidi_images["voxtral"])  # without weights it gives up
    findings = found(await run_image_checks(run, Options(checks=("image",))))
    starts = findings["image.starts"]
    assert starts.verdict is Verdict.FAILED
    assert "the container ended with 2, start 1, before GET http://127.0.0.1:" in starts.summary
    assert any("/opt/ml/model holds no model" in line.text for line in starts.exchange)
    assert findings["image.sigterm"].verdict is Verdict.SKIPPED


class TestTheCommand:
    """`bidi check IMAGE` as a process."""

    def test_all_checks_of_our_image_with_its_model_are_ok(
        self, bidi_images: Mapping[str, str], model: Path, tmp_path: Path
    ) -> None:
        written = tmp_path / "report.json"
        options = ("--model-folder", str(model), "--check", "image", "--json", str(written))
        with Command("check", bidi_images["voxtral"], *options) as command:
            assert command.status() == 0, command.output
        findings = json.loads(written.read_text())["findings"]
        assert len(findings) == 7
        assert {each["verdict"] for each in findings} == {"OK"}, command.output
        assert "7 OK in " in command.output

    def test_our_image_passes(self, with_model: str, tmp_path: Path) -> None:
        written = tmp_path / "report.json"
        checks = ("--check", "image", "--check", "realtime.utterance")
        options = (*checks, "--model-protocol", "vllm-realtime", "--json", str(written))
        with Command("check", with_model, *options) as command:
            assert command.status() == 0, command.output
        findings = json.loads(written.read_text())["findings"]
        verdicts = {each["check"]: each["verdict"] for each in findings}
        # No model folder was given, so nothing can be said of one.
        assert verdicts.pop("image.model-read-only") == "INFORMATIONAL"
        of_image = {check: each for check, each in verdicts.items() if check.startswith("image.")}
        assert len(of_image) == 6
        assert set(of_image.values()) == {"OK"}, command.output
        assert verdicts["realtime.utterance"] == "OK"
        assert "image.sigterm K4 exit code 0" in command.output

    def test_an_unfit_image_fails_with_what_is_wrong_and_what_to_do(self, unfit: str) -> None:
        with Command("check", unfit) as command:
            assert command.status() == 1
        said = " ".join(command.output.split())
        assert "FAILED image.label" in said
        assert f"to do add `LABEL {LABEL}=true` to the Dockerfile" in said
        assert "FAILED image.exec-form" in said
        assert "the entrypoint is in shell form, and the argument `serve` is lost: /bin/sh" in said
        assert "to do write ENTRYPOINT as a JSON list" in said

    def test_ctrl_c_ends_it_and_its_container(self, with_model: str) -> None:
        with Command("check", with_model) as command:
            command.line("image.starts K4")
            assert len(command.containers()) == 1
            assert command.stop(signal.SIGINT) == 130
            assert command.containers() == []

    def test_an_image_that_is_not_here_is_a_wrong_command_line(self) -> None:
        with Command("check", "no-such/image") as command:
            assert command.status() == 2
        assert "error: no-such/image: there is no image no-such/image here" in command.output
