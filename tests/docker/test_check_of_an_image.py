"""`bidi check IMAGE`: ours passes, and what is wrong with another is named."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from contract_tests.image.run import run_image_checks
from contract_tests.options import Options, TargetError
from contract_tests.verdicts import Finding, Report, Verdict
from emulator.hosting.hosted import ImageRun
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


async def test_a_missing_label_and_a_shell_as_process_1_are_both_named(
    bidi_images: Mapping[str, str], tmp_path: Path
) -> None:
    base = f"{PREFIX}/base:latest"
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nENTRYPOINT python3 -m http.server 8080\n")
    image = f"{PREFIX}/unfit:latest"
    subprocess.run(  # noqa: ASYNC221
        ["docker", "build", "--tag", image, str(tmp_path)],
        env={"DOCKER_BUILDKIT": "0", "PATH": "/usr/local/bin:/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    findings = found(await run_image_checks(ImageRun(image), Options(checks=("image",))))
    assert findings["image.label"].verdict is Verdict.FAILED
    assert findings["image.label"].summary == "the label is missing"
    assert findings["image.exec-form"].verdict is Verdict.FAILED
    assert "process 1 is a shell" in findings["image.exec-form"].summary
    assert findings["image.starts"].verdict is Verdict.FAILED
    assert findings["image.sigterm"].verdict is Verdict.SKIPPED


async def test_an_image_that_is_not_here_is_named() -> None:
    with pytest.raises(TargetError, match="there is no image no-such/image here"):
        await run_image_checks(ImageRun("no-such/image"))
