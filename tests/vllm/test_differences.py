"""The comparison itself: it has to see differences, and to tell the listed from the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagemaker_bidi_fixtures.probes.differences import (
    Difference,
    Known,
    Verdict,
    differences,
    judge,
    known_differences,
)
from sagemaker_bidi_fixtures.probes.listed import PROBES, probe
from sagemaker_bidi_fixtures.probes.phrases import MAX_MODEL_LEN, SAID
from sagemaker_bidi_fixtures.probes.play import play, play_all
from sagemaker_bidi_fixtures.probes.table import markdown
from sagemaker_bidi_fixtures.vllm import RealtimeSession, Script, Settings, StandInVLLM
from sagemaker_bidi_fixtures.vllm.events import ErrorEvent, ServerEvent

MODEL = "tiny"
SCRIPT = Script(SAID.printed, restarts=True)
KNOWN = Known("a", "stand-in", "0.32", "0.33", "because")


def test_the_probes_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len({each.name for each in PROBES}) == len(PROBES) >= 46


def test_an_unknown_probe_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(KeyError, match="no probe 'nope'; there are happy_fast"):
        probe("nope")


def test_what_differs_is_found_with_its_lines() -> None:
    engine = {"a": ["one", "two", "three"], "b": ["same"]}
    here = {"a": ["one", "zwei", "three", "four"], "b": ["same"]}
    assert differences("stand-in", engine, here) == [
        Difference("a", "stand-in", ("two",), ("zwei",)),
        Difference("a", "stand-in", (), ("four",)),
    ]


def test_a_listed_difference_is_known_and_everything_else_is_not() -> None:
    listed = Difference("a", "stand-in", ("version 0.32",), ("version 0.33",))
    more = Difference("a", "stand-in", ("version 0.32", "more"), ("version 0.33",))
    elsewhere = Difference("a", "front end", ("version 0.32",), ("version 0.33",))
    verdict = judge([listed, more, elsewhere], [KNOWN])
    assert verdict == Verdict(((listed, KNOWN),), (more, elsewhere), ())


def test_a_listed_difference_that_is_no_more_is_stale() -> None:
    assert judge([], [KNOWN]).stale == (KNOWN,)


def test_each_difference_of_the_list_has_a_probe_and_a_reason() -> None:
    for known in known_differences():
        assert probe(known.probe)
        assert known.target in ("stand-in", "front end")
        assert len(known.reason) > 20


def test_a_list_with_a_field_missing_is_refused_with_the_fields(tmp_path: Path) -> None:
    path = tmp_path / "differences.toml"
    path.write_text('[[difference]]\nprobe = "a"\n')
    with pytest.raises(ValueError, match="has probe, target, engine, here, reason"):
        known_differences(path)


def test_the_page_has_a_row_for_each_probe_and_the_reasons_below() -> None:
    fast = probe("happy_fast")
    difference = Difference("happy_fast", "stand-in", ("version 0.32",), ("version 0.33",))
    known = Known("happy_fast", "stand-in", "0.32", "0.33", "because")
    other = Difference("happy_fast", "front end", ("x",), ())
    page = markdown(
        [fast], Verdict(((difference, known),), (other,), ()), ("front end", "stand-in")
    )
    assert f"| `happy_fast` | {fast.asks} | **differs** | differs, see 1 |\n" in page
    assert page.endswith("1. `happy_fast`, stand-in: `0.33` in place of `0.32`: because.\n")


async def test_the_same_server_twice_has_no_differences() -> None:
    names = ("happy_fast", "invalid_json", "binary_frame", "handshake_variants", "fragmented")
    probes = [probe(name) for name in names]
    async with StandInVLLM(port=0, model=MODEL, max_model_len=MAX_MODEL_LEN, engine=SCRIPT) as vllm:
        first, second = [await play_all(probes, vllm.url) for _ in range(2)]
    assert differences("stand-in", first, second) == []
    assert all(first.values())


class Mumbling(RealtimeSession):
    """A session with one wrong word in its errors."""

    def receive_text(self, text: str, now: float) -> list[ServerEvent]:
        return [
            ErrorEvent("Invalid Json", event.code) if isinstance(event, ErrorEvent) else event
            for event in super().receive_text(text, now)
        ]


async def test_one_wrong_letter_of_a_server_is_a_difference() -> None:
    settings = Settings(model=MODEL)
    asked = probe("invalid_json")
    async with (
        StandInVLLM(port=0, model=MODEL, engine=SCRIPT) as right,
        StandInVLLM(port=0, model=MODEL, conversation=lambda: Mumbling(SCRIPT, settings)) as wrong,
    ):
        engine = {asked.name: await play(asked, right.url)}
        here = {asked.name: await play(asked, wrong.url)}
    (difference,) = differences("stand-in", engine, here)
    assert '"Invalid JSON"' in difference.engine[0]
    assert '"Invalid Json"' in difference.here[0]


async def test_the_stand_in_counts_what_it_has_in_its_metrics() -> None:
    async with StandInVLLM(port=0, model=MODEL, max_model_len=MAX_MODEL_LEN, engine=SCRIPT) as vllm:
        notes = await play(probe("disconnect_rst_mid"), vllm.url)
    assert [note for note in notes if note.startswith("metrics")] == [
        "metrics: 0 requests, 0 connections",
        "metrics: 1 requests, 1 connections",
        "metrics: 0 requests, 0 connections",
    ]
