"""Every bundled recording is played, to a client and to what it is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.recordings.files import read_recording
from sagemaker_bidi.recordings.script import script_of
from sagemaker_bidi.replay.play import play
from sagemaker_bidi.replay.playback import Playback
from sagemaker_bidi.replay.side import Pace
from sagemaker_bidi.replay.targets import Target
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.recordings.conftest import Trust
from tests.recordings.make_sessions import BRIDGED, ECHO, SESSIONS, bridged

FILES = sorted(SESSIONS.glob("*.jsonl"))
FAST = Pace(speed=0, patience=10)


def made_by(container: str) -> list[Path]:
    return [path for path in FILES if read_recording(path).header.container == container]


def test_there_are_recordings_and_none_is_empty() -> None:
    assert FILES
    for path in FILES:
        found = read_recording(path)
        script = script_of(found)
        assert found.end is not None, f"{path}: was cut off"
        assert found.refusal is not None or (script.client and script.container_messages), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_a_recording_plays_both_its_sides_through_the_sdk_and_an_emulator(
    path: Path, trust: Trust
) -> None:
    recording = read_recording(path)
    config = Config(port=0, health="off", contract={"accept_seconds": 10.0})
    async with (
        Playback([recording], mode="exact") as container,
        Emulator({"recorded": container.url}, config=config) as emulator,
    ):
        trust(emulator)
        target = Target.parse(f"{emulator.url}/recorded")
        outcome = await play(recording, target, mode="exact", pace=FAST)
        played = (await container.wait_for_played(1))[0]

    assert (outcome.problem, outcome.difference) == ("", None)
    assert (played.problem, played.difference) == ("", None)


@pytest.mark.parametrize("path", made_by(BRIDGED), ids=lambda path: path.stem)
async def test_the_bridge_and_the_stand_in_answer_as_they_are_recorded(path: Path) -> None:
    async with bridged() as address:
        outcome = await play(read_recording(path), Target.parse(address), pace=FAST)

    assert (outcome.problem, outcome.difference) == ("", None)


@pytest.mark.parametrize("path", made_by(ECHO), ids=lambda path: path.stem)
async def test_the_echo_container_answers_as_it_is_recorded(path: Path) -> None:
    async with EchoContainer(port=0) as echo:
        outcome = await play(read_recording(path), Target.parse(echo.url), mode="exact", pace=FAST)

    assert (outcome.problem, outcome.difference) == ("", None)
