"""What the wheels hold, need and say of themselves."""

from __future__ import annotations

import email
import re
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.packaging.conftest import ROOT, closure, run

PACKAGES = {
    "sagemaker-bidi": (
        "emulator/sagemaker_bidi",
        "contract_tests/sagemaker_bidi_contract",
        "fixtures/sagemaker_bidi_fixtures",
    ),
    "sagemaker-bidi-client": ("client/sagemaker_bidi_client",),
    "sagemaker-bidi-bridge": ("bridge/sagemaker_bidi_bridge",),
}
DATA = (
    "sagemaker_bidi/contract/clauses.toml",
    "sagemaker_bidi/recordings/schema.json",
    "sagemaker_bidi/scenarios/catalogue/latency.toml",
    "sagemaker_bidi_contract/report/report.css",
    "sagemaker_bidi_fixtures/engine/requirements.txt",
    "sagemaker_bidi_fixtures/probes/differences.toml",
    "sagemaker_bidi_fixtures/sessions/one-utterance.jsonl",
    "sagemaker_bidi_fixtures/speech/quick-brown-fox.wav",
)
HEAVY = {"fastapi", "uvicorn", "numpy", "soundfile", "soxr", "awscrt"}
SDK = "aws-sdk-sagemaker-runtime-http2"
NAMES = pytest.mark.parametrize("name", PACKAGES)


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def in_the_checkout(name: str) -> set[str]:
    """What an editable install shows of the packages."""
    return {
        str(file.relative_to(folder.parent))
        for folder in (ROOT / each for each in PACKAGES[name])
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


@NAMES
def test_a_wheel_holds_its_packages_to_the_last_file_and_nothing_else(
    name: str, wheels: dict[str, Path]
) -> None:
    found = {each for each in contents(wheels[name]) if ".dist-info/" not in each}

    assert found == in_the_checkout(name)
    assert {f"{Path(each).name}/py.typed" for each in PACKAGES[name]} <= found


def test_data_files_are_in_the_wheel(wheels: dict[str, Path]) -> None:
    assert set(DATA) <= contents(wheels["sagemaker-bidi"])


@NAMES
def test_a_wheel_says_where_its_home_is_and_under_which_licence(
    name: str, wheels: dict[str, Path]
) -> None:
    told = metadata(wheels[name])

    urls = {each.partition(",")[0] for each in told.get_all("Project-URL", [])}
    assert {"Homepage", "Issues", "Changelog"} <= urls
    assert told["License-Expression"] == "Apache-2.0"
    assert str(told.get_payload()).strip(), "no description: its README is missing"
    assert any(each.endswith("licenses/LICENSE") for each in contents(wheels[name]))


@NAMES
def test_what_a_wheel_needs_without_extras_is_light(name: str, wheels: dict[str, Path]) -> None:
    needed = closure([name])

    if name == "sagemaker-bidi":
        assert not {each for each in needed if each in HEAVY or each.startswith(("aws", "smithy"))}
    if name == "sagemaker-bidi-bridge":
        assert "sagemaker-bidi" not in needed
        assert "numpy" not in needed
    if name == "sagemaker-bidi-client":
        assert not needed & {"numpy", "soundfile", "soxr", "typer", "sagemaker-bidi"}


def test_the_client_takes_the_application_s_sdk(wheels: dict[str, Path]) -> None:
    needed = [
        Requirement(each)
        for each in metadata(wheels["sagemaker-bidi-client"]).get_all("Requires-Dist", [])
    ]
    (sdk,) = (each for each in needed if each.name == SDK)

    for release in ("0.4.0", "0.6.0", "0.9.0", "0.10.0", "0.11.0", "0.12.0"):
        assert sdk.specifier.contains(release)


@pytest.mark.sdk
@pytest.mark.parametrize(("pin", "chosen"), [(">=0.6,<0.10", r"0\.9"), ("==0.4.0", r"0\.4\.0")])
def test_pip_finds_an_sdk_that_suits_the_application_s_pin_too(
    pin: str, chosen: str, wheels: dict[str, Path], tmp_path: Path
) -> None:
    links = [option for wheel in wheels.values() for option in ("--find-links", wheel.parent)]
    wanted = ("sagemaker-bidi[client]", f"{SDK}{pin}")
    target = ("--target", tmp_path, "--dry-run", "--ignore-installed")

    told = run(sys.executable, "-m", "pip", "install", *target, *links, *wanted).stdout

    assert re.search(rf"aws.sdk.sagemaker.runtime.http2-{chosen}", told), told
    assert "sagemaker-bidi-client" in told
