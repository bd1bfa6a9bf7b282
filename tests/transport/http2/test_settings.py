"""Limits that cannot be worked with are refused, by name and with what is allowed."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi import Config, ConfigError, Emulator
from sagemaker_bidi.config import load_config
from sagemaker_bidi.transport.http2.settings import Http2Settings
from tests.transport.http2.raw_client import RawClient
from tests.transport.http2.served import layer

LARGEST = 2**31 - 1
# Smallest and largest value of each.
RANGES = {
    "stream_window": (1, LARGEST),
    "connection_window": (65_535, LARGEST),
    "max_frame_size": (16_384, 2**24 - 1),
    "max_connections": (1, LARGEST),
    "max_streams": (1, LARGEST),
    "max_header_list": (1, 2**32 - 1),
    "max_continuations": (1, 1_000_000),
    "send_buffer": (0, LARGEST),
    "unread_answers": (1, LARGEST),
}
SECONDS = ("headers_seconds", "burst_seconds")
RATES = (
    "requests_per_second",
    "resets_per_second",
    "control_frames_per_second",
    "empty_frames_per_second",
    "small_frames_per_second",
    "idle_frames_per_second",
)


def test_every_setting_has_a_range() -> None:
    named = {field.name for field in dataclasses.fields(Http2Settings)}
    assert named == {*RANGES, *SECONDS, *RATES}


@pytest.mark.parametrize(("name", "ends"), RANGES.items())
def test_both_ends_of_a_range_are_taken(name: str, ends: tuple[int, int]) -> None:
    for value in ends:
        given: dict[str, Any] = {name: value}
        assert getattr(Http2Settings(**given), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, (least, most) in RANGES.items() for value in (least - 1, most + 1)],
)
def test_a_number_out_of_its_range_is_refused(name: str, value: int) -> None:
    least, most = RANGES[name]
    given: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"^{name} must be {least} to {most} .*received {value}"):
        Http2Settings(**given)


@pytest.mark.parametrize("name", [*SECONDS, *RATES])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_seconds_and_rates_are_positive_and_finite(name: str, value: float) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"^{name} must be more than 0 and finite .*{value}"):
        Http2Settings(**given)


@pytest.mark.parametrize("name", RATES)
def test_a_rate_that_would_let_nothing_come_is_refused(name: str) -> None:
    given: dict[str, Any] = {name: 0.05, "burst_seconds": 10}
    with pytest.raises(ValueError, match=rf"^{name} must be 0\.1 or more, .*received 0\.05"):
        Http2Settings(**given)
    given[name] = 0.1
    assert getattr(Http2Settings(**given), name) == 0.1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("max_streams = 0", "max_streams must be 1 to 2147483647 (RFC 9113 5.1.2) (received 0)"),
        (
            "max_frame_size = 100",
            "max_frame_size must be 16384 to 16777215 (bytes, RFC 9113 6.5.2)",
        ),
        ("headers_seconds = inf", "headers_seconds must be more than 0 and finite (received inf)"),
    ],
)
def test_a_file_with_such_a_number_is_named_with_its_table(
    tmp_path: Path, line: str, says: str
) -> None:
    path = tmp_path / "bidi.toml"
    path.write_text(f"[http2]\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)

    assert str(caught.value).startswith(f"{path}: http2: {says}")


def test_an_emulator_is_refused_before_it_starts() -> None:
    with pytest.raises(ConfigError, match="http2: max_streams must be 1 to"):
        Emulator(config=Config(http2={"max_streams": -1}))


async def test_a_connection_works_with_the_smallest_of_everything() -> None:
    smallest: dict[str, Any] = {
        name: least for name, (least, _) in RANGES.items() if name != "max_header_list"
    }
    async with layer(Http2Settings(**smallest)) as served, RawClient(served.port) as client:
        client.open(1)
        for _ in range(3):
            await client.exchange(1, b"x")  # The window of a stream is one byte.
            await client.until(lambda: client.credits[1] == client.body[1])
