"""The metadata stream's offer, its metering frames, and what is dropped without harm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_bidi.contract import metadata
from sagemaker_bidi.contract.frames import Frame, Opcode
from sagemaker_bidi.contract.metadata import (
    DEFAULT_PATH,
    PATH,
    REQUIRED,
    SUPPORTED,
    Dropped,
    MetadataOffer,
    Metered,
    Metering,
    read_offer,
)


def usage(units: object = 1, token: object = "t", dimension: object = "minutes") -> Frame:
    fields = {"Dimension": dimension, "ConsumedUnits": units, "ClientToken": token}
    return text(json.dumps({"Metering": fields}))


def text(content: str | bytes) -> Frame:
    return Frame(Opcode.TEXT, content.encode() if isinstance(content, str) else content)


def dropped(frame: Frame) -> str:
    """Why a frame does not count; the next good one does, so the connection stays of use."""
    metering = Metering()
    result = metering.receive_frame(frame, 0)
    assert isinstance(result, Dropped)
    assert (metering.units, metering.dropped) == ({}, 1)
    assert metering.receive_frame(usage(2, "next"), 0) == Metered("minutes", 2)
    return result.why


# M1: the offer.


@pytest.mark.clause("M1")
def test_a_container_that_says_nothing_offers_nothing() -> None:
    assert read_offer({"upgrade": "websocket"}) is None


@pytest.mark.clause("M1")
@pytest.mark.parametrize("value", ["false", "", "yes", "1"])
def test_only_true_offers_a_stream_even_where_one_is_required(value: str) -> None:
    assert read_offer({SUPPORTED: value, REQUIRED: "true", PATH: "/meta"}) is None


@pytest.mark.clause("M1")
@pytest.mark.parametrize("value", ["true", "True", "TRUE", " true "])
def test_an_offer_stands_with_the_default_path_and_is_not_required(value: str) -> None:
    assert read_offer({SUPPORTED: value}) == MetadataOffer(False, DEFAULT_PATH)


@pytest.mark.clause("M1", "M3")
@pytest.mark.parametrize(
    ("value", "required"), [("true", True), (" TRUE", True), ("false", False), ("yes", False)]
)
def test_the_container_says_whether_the_stream_is_required(value: str, required: bool) -> None:
    offer = read_offer({SUPPORTED: "true", REQUIRED: value})

    assert offer is not None
    assert offer.required is required


@pytest.mark.clause("M1")
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/meta", "/meta"),
        ("meta", "/meta"),
        (" /v1/usage ", "/v1/usage"),
        ("usage?version=2&x=%20", "/usage?version=2&x=%20"),
        ("", DEFAULT_PATH),
        ("  ", DEFAULT_PATH),
    ],
)
def test_the_path_is_the_containers_with_a_slash_before_it(value: str, path: str) -> None:
    assert read_offer({SUPPORTED: "true", PATH: value}) == MetadataOffer(False, path)


@pytest.mark.clause("M1")
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/a b", "/a%20b"),
        ("/a#b", "/a%23b"),
        ("/caf\u00e9", "/caf%C3%A9"),
        ("/\udcff", "/%FF"),
        ("/[x]", "/%5Bx%5D"),
    ],
)
def test_a_path_that_no_request_line_can_carry_is_escaped(value: str, path: str) -> None:
    assert read_offer({SUPPORTED: "true", PATH: value}) == MetadataOffer(False, path)


# M2: what counts.


@pytest.mark.clause("M2")
def test_usage_is_added_up_by_dimension() -> None:
    metering = Metering()
    frames = [usage(2, "a"), usage(0.5, "b"), usage(7, "c", "words")]
    for now, frame in enumerate(frames):
        metering.receive_frame(frame, now)

    assert metering.units == {"minutes": 2.5, "words": 7}
    assert (metering.counted, metering.dropped) == (3, 0)


@pytest.mark.clause("M2")
def test_each_limit_itself_is_allowed() -> None:
    longest = usage(1, "t" * 64, "d" * 128)
    padded = text(longest.payload + b" " * (512 - len(longest.payload)))
    assert len(padded.payload) == 512

    assert Metering().receive_frame(padded, 0) == Metered("d" * 128, 1)


@pytest.mark.clause("M2")
def test_lengths_are_counted_in_characters() -> None:
    assert Metering().receive_frame(
        text(f'{{"Metering":{{"Dimension":"{"ü" * 128}","ConsumedUnits":1,"ClientToken":"é"}}}}'), 0
    ) == Metered("ü" * 128, 1)


@pytest.mark.clause("M2")
def test_usage_without_a_client_token_counts_each_time() -> None:
    metering = Metering()
    frame = text('{"Metering": {"Dimension": "minutes", "ConsumedUnits": 2}}')
    assert [metering.receive_frame(frame, now) for now in range(3)] == [Metered("minutes", 2)] * 3


@pytest.mark.clause("M2")
def test_a_client_token_is_remembered_for_its_own_connection_only() -> None:
    assert Metering().receive_frame(usage(1, "a"), 0) == Metered("minutes", 1)
    assert Metering().receive_frame(usage(1, "a"), 0) == Metered("minutes", 1)


@pytest.mark.clause("M2")
def test_members_that_nobody_knows_do_no_harm() -> None:
    document = json.loads(usage().payload)
    document["Version"] = document["Metering"]["Note"] = "new"

    assert Metering().receive_frame(text(json.dumps(document)), 0) == Metered("minutes", 1)


# M2: what is dropped.

SHAPE = (
    'not {"Metering": {"Dimension": text, "ConsumedUnits": number, "ClientToken": text or nothing}}'
)


@pytest.mark.clause("M2")
@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.BINARY, usage().payload),
        Frame(Opcode.CONT, usage().payload),
        Frame(Opcode.TEXT, usage().payload, fin=False),
    ],
)
def test_a_frame_that_is_no_whole_text_is_dropped(frame: Frame) -> None:
    assert dropped(frame) == "not a whole text frame"


@pytest.mark.clause("M2")
def test_a_frame_over_512_bytes_is_dropped() -> None:
    frame = text(usage().payload.ljust(513))

    assert dropped(frame) == "513 bytes, at most 512 are allowed"


@pytest.mark.clause("M2")
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"units=1",
        usage().payload[:-1],
        b"\xff\xfe",
        usage().payload.decode().encode("utf-16"),
        b"[" * 512,
    ],
)
def test_a_text_that_is_no_json_is_dropped(payload: bytes) -> None:
    assert dropped(text(payload)) == "not JSON"


@pytest.mark.clause("M2")
@pytest.mark.parametrize(
    "document",
    [
        [],
        "Metering",
        None,
        {},
        {"Metering": []},
        {"metering": {"Dimension": "d", "ConsumedUnits": 1, "ClientToken": "t"}},
        {"Metering": {"ConsumedUnits": 1, "ClientToken": "t"}},
        {"Metering": {"Dimension": "d", "ClientToken": "t"}},
        {"Metering": {"Dimension": 5, "ConsumedUnits": 1, "ClientToken": "t"}},
        {"Metering": {"Dimension": "d", "ConsumedUnits": "1", "ClientToken": "t"}},
        {"Metering": {"Dimension": "d", "ConsumedUnits": True, "ClientToken": "t"}},
        {"Metering": {"Dimension": "d", "ConsumedUnits": None, "ClientToken": "t"}},
        {"Metering": {"Dimension": "d", "ConsumedUnits": 1, "ClientToken": 7}},
    ],
)
def test_json_of_another_shape_is_dropped(document: Any) -> None:
    assert dropped(text(json.dumps(document))) == SHAPE


@pytest.mark.clause("M2")
@pytest.mark.parametrize("units", ["0", "-1", "-0.5", "NaN", "Infinity", "-Infinity", "1e999"])
def test_units_must_be_a_number_over_0(units: str) -> None:
    frame = text(usage(12345).payload.replace(b"12345", units.encode()))

    assert dropped(frame) == "ConsumedUnits is not more than 0, or too large for a number"


@pytest.mark.clause("M2")
def test_units_too_large_for_a_float_are_dropped_and_the_sum_stays() -> None:
    metering = Metering()
    metering.receive_frame(usage(0.5, "a"), 0)

    assert isinstance(metering.receive_frame(usage(10**400, "b"), 1), Dropped)
    assert metering.units == {"minutes": 0.5}


@pytest.mark.clause("M2")
@pytest.mark.parametrize(
    ("dimension", "token", "why"),
    [
        ("", "t", "Dimension has 0 characters, not 1-128"),
        ("d" * 129, "t", "Dimension has 129 characters, not 1-128"),
        ("d", "", "ClientToken has 0 characters, not 1-64"),
        ("d", "t" * 65, "ClientToken has 65 characters, not 1-64"),
    ],
)
def test_a_dimension_or_token_outside_its_length_is_dropped(
    dimension: str, token: str, why: str
) -> None:
    assert dropped(usage(1, token, dimension)) == why


@pytest.mark.clause("M2")
@given(st.binary(max_size=600), st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT]))
def test_no_bytes_raise_and_no_reason_quotes_them(payload: bytes, opcode: Opcode) -> None:
    metering = Metering()
    marked = b'{"Metering": "SECRET' + payload
    result = metering.receive_frame(Frame(opcode, marked), 0)

    assert isinstance(result, Dropped)
    assert "SECRET" not in result.why


@pytest.mark.clause("M2")
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Metering", "Dimension", "ConsumedUnits", "ClientToken", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_is_counted_or_dropped(document: Any) -> None:
    metering = Metering()
    metering.receive_frame(text(json.dumps(document)), 0)

    assert metering.counted + metering.dropped == 1
    assert all(units > 0 for units in metering.units.values())


# M2: once a token, once a second.


@pytest.mark.clause("M2")
def test_a_message_may_be_early_by_the_slack_and_no_more() -> None:
    for early, counts in ((0.5, True), (0.501, False)):
        metering = Metering(slack=0.5)
        metering.receive_frame(usage(1, "a"), 10.0)
        result = metering.receive_frame(usage(1, "b"), 11.0 - early)
        assert isinstance(result, Metered) is counts


@pytest.mark.clause("M2")
def test_a_repeated_token_counts_once_even_with_other_content() -> None:
    metering = Metering()
    metering.receive_frame(usage(3, "same"), 0)

    assert metering.receive_frame(usage(5, "same", "words"), 10) == Dropped(
        "its ClientToken was counted before"
    )
    assert metering.units == {"minutes": 3}


@pytest.mark.clause("M2")
def test_the_token_of_a_dropped_frame_may_come_again() -> None:
    metering = Metering()
    metering.receive_frame(usage(-1, "again"), 0)
    metering.receive_frame(usage(1, "first"), 1)
    assert isinstance(metering.receive_frame(usage(2, "again"), 1.1), Dropped)

    assert metering.receive_frame(usage(2, "again"), 3) == Metered("minutes", 2)


@pytest.mark.clause("M2")
def test_only_so_many_tokens_are_remembered_the_oldest_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metadata, "REMEMBERED_TOKENS", 2)
    metering = Metering()
    results = [metering.receive_frame(usage(1, token), now) for now, token in enumerate("abcbcabx")]

    # "a" is forgotten with "c"'s coming, "b" with the second "a"'s.
    assert "".join("-" if isinstance(result, Dropped) else "+" for result in results) == "+++--+++"


@pytest.mark.clause("M2")
@pytest.mark.parametrize("start", [0.0, 0.1, 0.3, 1e6 / 3, 1e9 + 0.7])
def test_a_message_exactly_a_second_later_counts(start: float) -> None:
    metering = Metering()
    times = [start + n for n in range(100)]

    assert all(
        isinstance(metering.receive_frame(usage(1, f"{n}"), now), Metered)
        for n, now in enumerate(times)
    )


@pytest.mark.clause("M2")
def test_a_second_message_within_the_second_is_dropped() -> None:
    metering = Metering()
    metering.receive_frame(usage(1, "a"), 0)

    for now in (0.0, 0.1, 0.49):
        assert metering.receive_frame(usage(1, "b"), now) == Dropped(
            "more than one message in a second"
        )
    assert metering.units == {"minutes": 1}


@pytest.mark.clause("M2")
@given(st.lists(st.floats(0, 0.49), min_size=1, max_size=50))
def test_a_container_that_reports_each_second_loses_nothing_to_jitter(
    delays: list[float],
) -> None:
    metering = Metering()
    for n, delay in enumerate(delays):
        assert isinstance(metering.receive_frame(usage(1, f"{n}"), n + delay), Metered)


@pytest.mark.clause("M2")
@given(st.lists(st.floats(0, 1), max_size=100))
def test_however_fast_messages_come_no_more_than_one_a_second_counts_in_the_long_run(
    pauses: list[float],
) -> None:
    metering = Metering()
    now = 0.0
    for n, pause in enumerate(pauses):
        now += pause
        metering.receive_frame(usage(1, f"{n}"), now)

    # One for the start, one for the half second that a message may be early.
    assert metering.counted <= now + 2


@pytest.mark.clause("M2")
def test_a_pause_saves_up_no_burst() -> None:
    metering = Metering()
    metering.receive_frame(usage(1, "a"), 0)
    metering.receive_frame(usage(1, "b"), 1000)

    assert isinstance(metering.receive_frame(usage(1, "c"), 1000.4), Dropped)


@pytest.mark.clause("M2")
def test_a_malformed_frame_takes_no_good_ones_turn() -> None:
    metering = Metering()
    metering.receive_frame(text("{"), 0)

    assert metering.receive_frame(usage(1, "a"), 0) == Metered("minutes", 1)
