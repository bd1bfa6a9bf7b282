"""What a container's Close frame or error frame becomes for the client (E1, E2, E4)."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sagemaker_bidi.contract.endings import (
    CLEAN,
    NO_STATUS,
    WRAPPED,
    ClosePolicy,
    CloseRule,
    error_in_text_frame,
)
from sagemaker_bidi.contract.errors import StreamError

POLICY = ClosePolicy()
BUSY = CloseRule(StreamError("ModelStreamError", "BUSY_{code}", "said: {reason}"))


def error_frame(code: object = "CODE", message: object = "what failed", **more: object) -> bytes:
    error = {"ErrorCode": code, "Message": message}
    return json.dumps({"ModelStreamError": error, **more}, ensure_ascii=False).encode()


@pytest.mark.clause("E1")
@pytest.mark.parametrize("code", [1001, 1002, 1003, 1007, 1008, 1009, 1011, 1013, 3000, 4999])
def test_a_close_frames_code_and_reason_are_wrapped_into_a_model_stream_error(code: int) -> None:
    assert POLICY.error(code, "out of memory") == StreamError(
        "ModelStreamError", str(code), "out of memory"
    )


@pytest.mark.clause("E1")
def test_a_close_frame_without_a_reason_gets_one_that_names_its_code() -> None:
    assert POLICY.error(1011, "") == StreamError(
        "ModelStreamError", "1011", "Model container closed the WebSocket with status code 1011."
    )


@pytest.mark.clause("E2")
@pytest.mark.parametrize("code", [1000, NO_STATUS])
def test_a_normal_close_ends_the_stream_cleanly(code: int) -> None:
    assert POLICY.error(code, "bye") is None


@pytest.mark.clause("E2")
def test_a_rule_decides_on_its_own_code_and_leaves_the_other_codes_as_they_are() -> None:
    policy = ClosePolicy({4000: BUSY})
    assert policy.error(4000, "later") == StreamError(
        "ModelStreamError", "BUSY_4000", "said: later"
    )
    assert policy.error(1000, "") is None
    assert policy.error(1011, "x") == POLICY.error(1011, "x")


@pytest.mark.clause("E2")
def test_a_normal_close_can_be_made_an_error_and_an_error_a_clean_end() -> None:
    broken = CloseRule(StreamError("ModelStreamError", "StreamBroken", "Input stream broken"))
    policy = ClosePolicy({1000: broken, 1011: CLEAN})
    assert policy.error(1000, "") == broken.error
    assert policy.error(1011, "crash") is None


@pytest.mark.clause("E2")
def test_codes_without_a_rule_follow_the_rule_for_all_others() -> None:
    policy = ClosePolicy(otherwise=BUSY)
    assert policy.error(1011, "x") == StreamError("ModelStreamError", "BUSY_1011", "said: x")
    assert ClosePolicy(otherwise=CLEAN).error(4001, "x") is None


@pytest.mark.clause("E2")
def test_a_close_frame_without_a_code_is_not_said_to_have_had_one() -> None:
    error = ClosePolicy({NO_STATUS: WRAPPED}).error(NO_STATUS, "")
    assert error is not None
    assert error.message == "Model container closed the WebSocket with no status code."


@pytest.mark.clause("E1")
def test_a_reason_that_looks_like_a_placeholder_stays_as_the_container_wrote_it() -> None:
    error = POLICY.error(1011, "{code} {reason} {x}")
    assert error is not None
    assert error.message == "{code} {reason} {x}"


@pytest.mark.clause("E2")
@pytest.mark.parametrize("code", [-1, 0, 999, 1006, 5000])
def test_a_rule_for_a_code_that_no_close_frame_has_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match=rf"rules\.{code}: .* expected 1000 to 4999"):
        ClosePolicy({code: CLEAN})


@pytest.mark.clause("E4")
@pytest.mark.parametrize(
    "payload",
    [
        error_frame(),
        b" \t\r\n" * 40 + error_frame(),
        b'{\n  "ModelStreamError"\n :\n {"Message": "what failed", "ErrorCode": "CODE"}}\n',
        b'{"ModelStreamError": {"ErrorCode": "CODE", "Message": "what failed", "More": [1]}}',
    ],
    ids=["plain", "after white space", "pretty", "with further members"],
)
def test_the_guides_error_frame_is_an_error(payload: bytes) -> None:
    assert error_in_text_frame(payload) == StreamError("ModelStreamError", "CODE", "what failed")


@pytest.mark.clause("E4")
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"null",
        b'"ModelStreamError"',
        b'[{"ModelStreamError": {"ErrorCode": "a", "Message": "b"}}]',
        b'{"ModelStreamError": "text"}',
        b'{"ModelStreamError": {}}',
        b'{"ModelStreamError": {"ErrorCode": "a"}}',
        b'{"ModelStreamError": {"Message": "b"}}',
        error_frame(code=500),
        error_frame(message=None),
        error_frame(text="a transcript about ModelStreamError"),
        b'{"text": "x", "ModelStreamError": {"ErrorCode": "a", "Message": "b"}}',
        b'{"modelstreamerror": {"ErrorCode": "a", "Message": "b"}}',
        error_frame() + b"x",
        error_frame()[:-1],
        error_frame().replace(b"CODE", b"\xff"),
        b"\xef\xbb\xbf" + error_frame(),
        b'{"ModelStreamError": ' + b"[" * 200_000,
        b'{"ModelStreamError": ' + b"9" * 5000 + b"}",
        error_frame(message="x" * 2**20),
    ],
    ids=range(21),
)
def test_any_other_text_is_the_models_own(payload: bytes) -> None:
    assert error_in_text_frame(payload) is None


@pytest.mark.clause("E4")
@given(st.text(), st.text())
@example("", "")
@example('"}}', "\\\N{PILE OF POO}\0")
def test_code_and_message_arrive_as_the_container_wrote_them(code: str, message: str) -> None:
    assert error_in_text_frame(error_frame(code, message)) == StreamError(
        "ModelStreamError", code, message
    )


@pytest.mark.clause("E4")
@given(st.binary(max_size=200))
def test_no_payload_makes_the_reading_fail(payload: bytes) -> None:
    assert error_in_text_frame(payload) is None
    error_in_text_frame(b'{"ModelStreamError": {"ErrorCode": "' + payload)
