"""What others send cannot forge a line of the log, command a terminal or leak a secret."""

from __future__ import annotations

import io
import logging
import re
import time
from pathlib import Path

import pytest

import sagemaker_bidi
from sagemaker_bidi.shown import LONGEST, logger_named, plain, redacted

FORGED = "bye\r\n2026-11-27 00:00:00,000 INFO    bidi.session FORGED\x1b]0;title\x07"


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(log: io.StringIO) -> logging.Logger:
    logger = logger_named("bidi.test_shown")
    logger.handlers = [logging.StreamHandler(log)]
    return logger


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\r\nlines", r"two\r\nlines"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b1;31mred", "red"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[2J\x1b[1;1H", r"\x1b[2J\x1b[1;1H"),
        ("over\rwritten", r"over\rwritten"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("one\u2028two\x85three", r"one\u2028two\x85three"),
        ("half \ud800", r"half \ud800"),
        ("Größe 音声 🎤 and a\\b", "Größe 音声 🎤 and a\\b"),
    ],
)
def test_a_text_is_one_line_that_commands_nothing(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ws://c/path?token=abc&lang=en#x", "ws://c/path?token=…&lang=…"),
        ("Value 'token=abc' at 'modelQueryString'", "Value 'token=…' at 'modelQueryString'"),
        ("authorization: Bearer abc.def", "authorization: …"),
        ("it said Bearer abc.def== to us", "it said Bearer … to us"),
        ("('x-amz-security-token', 'abc')", "('x-amz-security-token', '…')"),
        ("X-Amz-Security-Token=abc, Signature=0123", "X-Amz-Security-Token=…, Signature=…"),
        ("Credential=AKIA/2026/us-east-1", "Credential=…"),
        ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY=…"),
        ("accept_seconds = 3, 20 tokens: fine", "accept_seconds = 3, 20 tokens: fine"),
    ],
)
def test_a_secret_is_left_out_and_its_name_stays(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_a_message_takes_one_line_of_the_log_however_it_is_made(
    logger: logging.Logger, log: io.StringIO
) -> None:
    logger.warning("%s: closed: %s", "s-1", FORGED)
    logger.warning("a close: " + FORGED)
    assert len(log.getvalue().splitlines()) == 2
    assert "\x1b" not in log.getvalue()


def test_a_traceback_keeps_its_lines_and_forges_none(
    logger: logging.Logger, log: io.StringIO
) -> None:
    try:
        raise ValueError("?token=abc\x1b[31m\x07")
    except ValueError:
        logger.exception("failed")
    lines = log.getvalue().splitlines()
    assert lines[0] == "failed"
    assert lines[-1] == r"ValueError: ?token=…"


def test_a_message_has_a_longest_length_and_no_text_takes_long(
    logger: logging.Logger, log: io.StringIO
) -> None:
    hostile = ["a" * 10**6, "?" * 10**6, "token" * 10**5, "&a" * 10**6, "x-api-key:" * 10**5]
    began = time.process_time()
    for text in hostile:
        logger.warning("%s", text)
    # Where a text took the square of its length this would be minutes.
    assert time.process_time() - began < 20
    assert all(len(line) < LONGEST + 20 for line in log.getvalue().splitlines())


def test_every_log_of_the_emulator_is_written_through_the_one_place() -> None:
    modules = Path(sagemaker_bidi.__file__).parent.rglob("*.py")
    found = {
        module.name
        for module in modules
        if re.search(r"getLogger\(\"bidi\.|getLogger\(__name__", module.read_text("utf-8"))
    }
    assert found == set()
