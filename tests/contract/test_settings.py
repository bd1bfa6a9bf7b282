"""Every number of the contract says where it is known from; one that cannot work is refused."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import Any

import pytest

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.eventstream.messages import decode_message
from sagemaker_bidi.contract.settings import ContractSettings, assumptions, choices
from tests.contract.conftest import payload_part

DEFAULTS = ContractSettings()


def test_every_setting_has_a_clause_a_provenance_and_a_description() -> None:
    listed = list(choices(DEFAULTS))
    assert [name for name, _, _ in listed] == [item.name for item in fields(DEFAULTS)]
    for name, value, choice in listed:
        assert value == getattr(DEFAULTS, name)
        assert re.fullmatch(r"[WOFKEM]\d", choice.clause)
        assert choice.provenance in ("documented", "reported", "assumed", "conflict")
        assert choice.says


@pytest.mark.clause("K3")
def test_what_nobody_has_published_is_listed_with_the_value_in_force() -> None:
    settings = ContractSettings(reset_after_error=True)
    listed = {name: (value, choice.clause) for name, value, choice in assumptions(settings)}
    assert listed["reset_after_error"] == (True, "E7")
    assert listed["reassemble"] == (False, "F4")
    assert {clause for _, clause in listed.values()} >= {"F4", "F7", "K3", "K5", "E6", "E7"}
    assert "lifetime" not in listed
    assert "close_policy" not in listed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("accept_seconds", 0.25, marks=pytest.mark.clause("O3")),
        pytest.param("ping_interval", 60.0, marks=pytest.mark.clause("K1")),
        pytest.param("missed_pongs", 5, marks=pytest.mark.clause("K1")),
        pytest.param("lifetime", 30 * 60.0, marks=pytest.mark.clause("K2")),
        pytest.param("reassemble", False, marks=pytest.mark.clause("F4")),
        pytest.param("error_frames", True, marks=pytest.mark.clause("E4")),
        pytest.param("reset_after_error", False, marks=pytest.mark.clause("E7")),
        pytest.param("event_header_bytes", 128 * 1024, marks=pytest.mark.clause("K5")),
        pytest.param("events_per_second", math.inf, marks=pytest.mark.clause("K5")),
        pytest.param("idle_seconds", math.inf, marks=pytest.mark.clause("K5")),
        pytest.param("max_skew", 5 * 60.0, marks=pytest.mark.clause("O6")),
    ],
)
def test_the_numbers_of_the_contract_are_the_defaults(name: str, value: object) -> None:
    assert getattr(DEFAULTS, name) == value


@pytest.mark.clause("K5")
def test_the_largest_event_has_a_signed_message_whose_length_four_bytes_can_say(
    client: Any,
) -> None:
    event = len(payload_part(b"").encode())
    signed = len(client.part(b""))
    headers = event - 16
    with pytest.raises(ValueError, match=r"^event_bytes must be") as caught:
        ContractSettings(event_header_bytes=headers, event_bytes=2**32)
    (largest,) = re.findall(r"1 to (\d+)", str(caught.value))
    assert signed + int(largest) == 2**32 - 1


@pytest.mark.clause("E6")
def test_a_lost_container_is_a_broken_stream_by_default() -> None:
    error = DEFAULTS.connection_lost_error
    assert (error.event, error.code) == ("ModelStreamError", "StreamBroken")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("accept_seconds", 0.0, "more than 0"),
        ("ping_interval", 0.0, "more than 0"),
        ("ping_interval", -60.0, "more than 0"),
        ("ping_interval", math.nan, "more than 0"),
        ("lifetime", math.nan, "more than 0"),
        ("missed_pongs", 0, "more than 0"),
        ("event_bytes", 0, "1 to 4294836124"),
        ("event_bytes", 4_294_836_125, "1 to 4294836124"),
        ("event_header_bytes", 66, "67, .*, to 4294967195"),
        ("event_header_bytes", 4_294_967_196, "67, .*, to 4294967195"),
        ("events_per_second", 0.0, "more than 0"),
        ("events_per_second", math.nan, "more than 0"),
        ("idle_seconds", 0.0, "more than 0"),
        ("idle_seconds", math.nan, "more than 0"),
        ("last_pong_wait", -1.0, "0 or more"),
        ("last_pong_wait", math.nan, "0 or more"),
        ("max_skew", -0.1, "0 or more"),
        ("frame_bytes", 0, "1 to 16777216"),
        ("frame_bytes", 16 * 1024 * 1024 + 1, "1 to 16777216"),
        ("half_close_code", 999, "1000-1003, 1007-1014 or 3000-4999"),
        ("half_close_code", 1005, "1000-1003, 1007-1014 or 3000-4999"),
        ("half_close_code", 1006, "1000-1003, 1007-1014 or 3000-4999"),
        ("half_close_code", 1015, "1000-1003, 1007-1014 or 3000-4999"),
        ("half_close_code", 5000, "1000-1003, 1007-1014 or 3000-4999"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_its_name_and_what_is_expected(
    name: str, value: Any, expected: str
) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be .*{expected}") as caught:
        ContractSettings(**{name: value})
    assert f"(received {value!r})" in str(caught.value)


@pytest.mark.clause("E5")
def test_an_error_that_no_event_can_carry_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^idle_error must fit into .* ':error-message' has 40000"
    ):
        ContractSettings(idle_error=StreamError("error", "Idle", "x" * 40_000))


@pytest.mark.clause("E5")
def test_a_line_feed_breaks_no_header_of_an_event() -> None:
    error = StreamError("error", "two\nlines", "of\r\ntext")
    message = decode_message(ContractSettings(idle_error=error).idle_error.encode().encode())
    assert message.headers[":error-code"] == "two\nlines"
    assert message.headers[":error-message"] == "of\r\ntext"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lifetime", math.inf),
        ("ping_interval", math.inf),
        ("last_pong_wait", 0.0),
        ("max_skew", 0.0),
        ("event_bytes", 1),
        ("event_bytes", 4_294_836_124),
        ("event_header_bytes", 67),
        ("events_per_second", 0.01),
        ("frame_bytes", 1),
        ("half_close_code", 1001),
        ("half_close_code", 1011),
        ("half_close_code", 3000),
        ("half_close_code", 4999),
        ("shutdown_error", StreamError("error", "a", "b")),
    ],
)
def test_values_at_the_edge_are_taken(name: str, value: Any) -> None:
    assert getattr(ContractSettings(**{name: value}), name) == value
