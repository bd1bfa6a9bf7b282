"""What counts as the same answer, and how a difference is shown."""

from __future__ import annotations

import pytest

from sagemaker_bidi.recordings.script import Message
from sagemaker_bidi.replay.compare import Mode, compare, likeness, texts
from tests.recordings.made import delta, done


def said(*texts: str) -> list[Message]:
    return [Message(True, (text.encode(),)) for text in texts]


CREATED = '{"type":"session.created","id":"sess-1","created":1}'
CREATED_LATER = '{"created":2,"id":"sess-2","type":"session.created"}'


@pytest.mark.parametrize(
    ("recorded", "received", "alike_in"),
    [
        (said("a"), said("a"), {"exact", "json", "text"}),
        (said(CREATED), said(CREATED_LATER), {"json", "text"}),
        (said(done("hi", usage={"a": 1})), said(done("hi", usage={"a": 2})), {"json", "text"}),
        (
            said(delta("h"), delta("i"), done("hi")),
            said(delta("hi"), delta(""), done("hi")),
            {"text"},
        ),
        (said(delta("h"), delta("i")), said(done("hi")), {"text"}),
        (said(done("hi")), said(done("ho")), set()),
        (said("a"), said("a", "b"), set()),
        (said(), said("a"), set()),
        (
            [Message(True, (b"a", b"b"))],
            [Message(True, (b"ab",))],
            {"json", "text"},
        ),
        ([Message(True, (b"a",))], [Message(False, (b"a",))], {"text"}),
        (
            said('{"type":"error","error":"x","code":"a"}'),
            said('{"type":"error","error":"x","code":"b"}'),
            set(),
        ),
    ],
)
def test_each_mode_overlooks_what_it_says_and_no_more(
    recorded: list[Message], received: list[Message], alike_in: set[str]
) -> None:
    modes: tuple[Mode, ...] = ("exact", "json", "text")

    assert {mode for mode in modes if compare(recorded, received, mode) is None} == alike_in


def test_further_members_can_be_left_out_at_any_depth() -> None:
    recorded, received = said('{"a":{"seed":1,"b":2}}'), said('{"a":{"seed":9,"b":2}}')

    assert compare(recorded, received, "json", ("seed",)) is None
    assert compare(recorded, received, "json", ("b",)) is not None


def test_the_first_difference_is_shown_in_its_context() -> None:
    recorded = said("one", "two", "three", "four", "five", "six")
    received = said("one", "two", "three", "FOUR", "five", "six")
    difference = compare(recorded, received, "exact")

    assert difference is not None
    assert difference.lines() == [
        "message 4 differs: it was recorded otherwise",
        "       2  text two",
        "       3  text three",
        "  -    4  text four",
        "  +    4  text FOUR",
        "               ^ character 6",
        "       5  text five",
        "       6  text six",
    ]


def test_a_missing_message_is_shown_as_nothing() -> None:
    difference = compare(said("one", "two"), said("one"), "exact")

    assert difference is not None
    assert difference.lines() == [
        "message 2 differs: 2 were recorded, only 1 came",
        "       1  text one",
        "  -    2  text two",
        "  +    2  (nothing)",
    ]


def test_a_difference_far_inside_a_long_message_is_shown_around_it() -> None:
    before, after = "x" * 500, "y" * 500
    difference = compare(said(f"{before}a{after}"), said(f"{before}b{after}"), "exact")

    assert difference is not None
    old, new, mark = difference.lines()[1:4]
    assert len(old) < 150
    assert (old[mark.index("^")], new[mark.index("^")]) == ("a", "b")


def test_likeness_counts_messages_in_order() -> None:
    assert likeness(said("a", "b", "c"), said("a", "c", "d"), "exact") == (2, 3)
    assert likeness([], [], "exact") == (0, 0)


def test_the_text_of_a_session_is_its_final_texts_and_open_deltas() -> None:
    messages = said(CREATED, delta(" one"), done(" one "), delta(" tw"), delta("o"))

    assert texts(messages) == ["one", "two"]
