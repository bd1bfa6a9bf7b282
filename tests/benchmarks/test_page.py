"""The page and the aims, from numbers made up for the purpose."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.aims import aims
from benchmarks.profile import read_stacks, summarise
from benchmarks.report import page, table


def latency_row(route: str, sessions: int, p50: float, p99: float) -> dict[str, Any]:
    return {
        "route": route,
        "sessions": sessions,
        "samples": 2000,
        "p50": p50,
        "p99": p99,
        "p999": None,
        "max": p99,
        "p99_rounds": [p99],
        "ratio_p50": 1.0,
        "ratio_p99": 1.0,
        "lost": 0,
        "sent_late_p99": 0.1,
        "generator_busy": 0.1,
    }


def cost_row(route: str, size: int, frames: float) -> dict[str, Any]:
    return {
        "route": route,
        "size": size,
        "frames_per_cpu_second": frames,
        "frames_per_cpu_second_rounds": [frames],
        "round_trips_per_cpu_second": frames / 2,
        "bytes_per_second": frames * size,
        "bytes_per_cpu_second": frames * size,
        "proxy_busy": 1.0,
        "lost": 0,
    }


def growth_row(*, sessions: int, load: str, cost: float) -> dict[str, Any]:
    return {"sessions": sessions, "load": load, "cpu_us_per_frame": cost}


@pytest.fixture
def results() -> dict[str, Any]:
    step = {
        "sessions": 400,
        "passed": True,
        "added": {"up_p99": 9.0, "down_p99": 8.0},
        "lost": 0,
        "direct": {},
        "emulator": {"server_busy": 0.9, "generator_busy": 0.4},
    }
    failed = {"sessions": 450, "passed": False, "why": "no end after 120 s"}
    return {
        "date": "2026-01-02T03:04:05Z",
        "quick": False,
        "revision": {"commit": "abc", "changed": False},
        "machine": {
            "cpu": "A CPU",
            "cores": 2,
            "memory_gib": 8,
            "kernel": "6",
            "system": "Linux",
            "python": "3.12",
            "busy_before": 0.02,
        },
        "versions": {"h2": "4", "uvloop": None},
        "seed": 1,
        "loops": {"lean": "uvloop", "sdk": "asyncio"},
        "latency": [
            latency_row("direct", 50, 0.1, 0.4),
            latency_row("lean", 50, 0.4, 2.0),
            latency_row("sdk", 50, 1.0, 4.0),
            latency_row("mitmproxy", 50, 1.0, 1.5),
        ],
        "cost": [
            cost_row("lean", 5600, 12_000.0),
            cost_row("nghttpx", 5600, 100_000.0),
            cost_row("mitmproxy", 5600, 3_000.0),
        ],
        "growth": [
            growth_row(sessions=1, load="each", cost=80.0),
            growth_row(sessions=1000, load="each", cost=90.0),
            growth_row(sessions=1, load="all", cost=50.0),
            growth_row(sessions=1000, load="all", cost=100.0),
        ],
        "capacity": [
            {
                "workers": 1,
                "sessions": 400,
                "at_least": False,
                "at_answer": step,
                "steps": [step, failed],
            }
        ],
        "memory": [
            {
                "sessions": 0,
                "resident_mib": 80.0,
                "kib_per_session": None,
                "opening_seconds": 0.0,
            },
            {
                "sessions": 100,
                "resident_mib": 90.0,
                "kib_per_session": 102.4,
                "opening_seconds": 0.2,
            },
        ],
        "startup": {"seconds": [0.4, 0.5, 0.6], "median": 0.5},
        "profile": None,
        "notes": ["nghttpx was skipped"],
    }


def test_each_aim_is_held_against_its_number(results: dict[str, Any]) -> None:
    found = {aim.what: (aim.met, aim.missing) for aim in aims(results)}
    assert found == {
        "p50 added at 50 sessions at most 0.5 ms": (True, ""),
        "p99 added at 50 sessions at most 3 ms": (True, ""),
        "AWS SDK, 50 open: p99 at most 3 x p50": (False, "33% over the aim"),
        "at least 10,000 frames for one CPU second": (True, ""),
        "at least 300 voice sessions on one worker": (True, ""),
        "at most 100 KiB for an idle session, 100 open": (False, "2% over the aim"),
        "ready in 0.5 s": (True, ""),
        "a frame costs no more with many sessions (at most 1.25 times), one under way in each": (
            True,
            "",
        ),
        "a frame costs no more with many sessions (at most 1.25 times), 128 under way over all": (
            False,
            "60% over the aim",
        ),
        "emulator, lean client, ahead of mitmproxy in p50, p99 and frames for one CPU second": (
            False,
            "p99 at 50 sessions (2.0 to 1.5 ms)",
        ),
        "at least a quarter of nghttpx's frames for one CPU second": (False, "48% of the aim"),
    }


def test_an_aim_that_is_met_misses_nothing(results: dict[str, Any]) -> None:
    results["latency"] = [row for row in results["latency"] if row["route"] != "mitmproxy"]
    assert {aim.missing for aim in aims(results) if aim.met} == {""}
    assert (
        "emulator, lean client, ahead of mitmproxy in p50, p99 and frames for one CPU second",
        "ahead in 1 of 1",
    ) in {(aim.what, aim.found) for aim in aims(results) if aim.met}


def test_aims_without_numbers_are_left_out_not_met(results: dict[str, Any]) -> None:
    empty = {**results, "startup": None}
    for part in ("latency", "cost", "growth", "capacity", "memory"):
        empty[part] = []
    assert aims(empty) == []


def test_the_page_says_what_was_skipped_and_what_failed_first(results: dict[str, Any]) -> None:
    text = page(results)
    assert "- nghttpx was skipped" in text
    assert "1 worker(s): 450 sessions failed: no end after 120 s" in text
    assert "| emulator, lean client | 50 | 0.40 |" in text
    assert "no uvloop" in text


def test_the_page_of_a_run_with_nothing_measured_is_still_a_page(results: dict[str, Any]) -> None:
    empty = {**results, "startup": None}
    for part in ("latency", "cost", "growth", "capacity", "memory"):
        empty[part] = []
    assert page(empty).startswith("# Performance\n")


def test_a_table_is_markdown_with_missing_values_shown() -> None:
    assert table(("a", "b"), [("x", None), ("y", 1234.5), ("z", True)]).splitlines() == [
        "| a | b |",
        "| :-- | --: |",
        "| x | n/a |",
        "| y | 1,234 |",
        "| z | yes |",
    ]


def test_a_profile_counts_the_innermost_function_alone_and_all_of_them_within() -> None:
    stacks = read_stacks(
        [
            "main (a.py:1);run (sagemaker_bidi/live.py:5);"
            "verify (sagemaker_bidi/contract/sigv4/chunks.py:9) 3\n",
            "main (a.py:1);run (sagemaker_bidi/live.py:7) 1\n",
        ]
    )
    found = summarise(stacks)
    assert found["samples"] == 4
    assert found["parts"] == [["signatures (W4)", 0.75], ["session's pumps", 0.25]]
    assert found["alone"][0] == ["verify (sagemaker_bidi/contract/sigv4/chunks.py)", 0.75]
    # What is in every sample is only the way to the work.
    assert found["within"] == [["verify (sagemaker_bidi/contract/sigv4/chunks.py)", 0.75]]
