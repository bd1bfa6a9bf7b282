"""The timeline tells what each side saw, without payloads."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.frames import Frame, Opcode, Part
from sagemaker_bidi.contract.outputs import CloseContainer
from sagemaker_bidi.demo.models import load_speech
from sagemaker_bidi.demo.scenario import run_scenario, show_scenario
from sagemaker_bidi.tap import Direction, Item, Passage, Side
from sagemaker_bidi.timeline.timeline import Timeline, kind_of


@dataclass
class Hands:
    """A clock whose hands a test moves."""

    time: float = 100.0

    def now(self) -> float:
        return self.time


@dataclass
class Scene:
    """A timeline, and what passes by it."""

    hands: Hands = field(default_factory=Hands)

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.hands.now)

    def passes(self, item: Item, side: Side, direction: Direction, after: float = 0.0) -> None:
        self.hands.time += after
        self.timeline.passed("session", Passage(self.hands.time, side, direction, item))

    @property
    def told(self) -> list[tuple[float, str, str, int, int]]:
        return [(m.at, m.column, m.what, m.count, m.size) for m in self.timeline.moments]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_each_side_is_told_in_its_own_column_from_the_first_moment_on(scene: Scene) -> None:
    scene.passes(Frame(Opcode.TEXT, b"hello"), "container", "sent")
    scene.passes(Part(b"hi", "UTF8"), "client", "sent", after=0.5)
    assert scene.told == [
        (0.0, "container", "received part", 1, 5),
        (0.5, "client", "received part", 1, 2),
    ]


def test_what_repeats_within_a_second_is_told_once(scene: Scene) -> None:
    for _ in range(4):
        scene.passes(Part(b"123", "UTF8"), "client", "sent", after=0.3)
    scene.passes(Part(b"123", "UTF8"), "client", "sent", after=0.3)
    assert scene.told == [
        (0.0, "client", "received part", 4, 12),
        (pytest.approx(1.2), "client", "received part", 1, 3),
    ]
    assert scene.timeline.moments[0].until == pytest.approx(0.9)


def test_errors_pings_and_close_frames_are_told_by_name(scene: Scene) -> None:
    scene.passes(Frame(Opcode.PING, b"1"), "container", "sent")
    scene.passes(Frame(Opcode.PONG, b"1"), "container", "received")
    scene.passes(CloseContainer(1011, "late"), "container", "sent")
    scene.passes(CloseContainer(1006, ""), "container", "received")
    scene.passes(StreamError("ModelStreamError", "StreamBroken", "secret"), "client", "sent")
    assert [what for _, _, what, _, _ in scene.told] == [
        "received ping",
        "sent pong",
        "received Close 1011 late",
        "connection lost",
        "received ModelStreamError StreamBroken",
    ]


def test_without_data_only_the_rest_is_told(scene: Scene) -> None:
    scene.timeline = Timeline(scene.hands.now, data=False)
    scene.passes(Part(b"hi", "UTF8"), "client", "sent")
    scene.passes(Frame(Opcode.PING, b"1"), "container", "sent")
    assert [what for _, _, what, _, _ in scene.told] == ["received ping"]


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b'{"type": "transcription.delta", "delta": "secret"}', "transcription.delta"),
        (b'{"delta": "secret"}', "part"),
        (b'{"type": 3}', "part"),
        (b"{broken", "part"),
        (b"\x00\xff", "part"),
        (b"", "part"),
    ],
)
def test_a_payload_is_called_by_its_json_type_and_never_quoted(payload: bytes, kind: str) -> None:
    assert kind_of(payload) == kind


async def test_the_demo_shows_a_scenario_on_one_timeline() -> None:
    speech = load_speech(None)
    shown = await run_scenario("upgrade-refused", speech.audio, speech.words, port=0)
    console = Console(width=200, file=io.StringIO())
    show_scenario(console, shown)
    assert isinstance(console.file, io.StringIO)
    output = console.file.getvalue()
    assert "RequestRefused" in output
    assert "refused with 424 ModelError (O4)" in output
    assert "heard: (nothing)" in output
