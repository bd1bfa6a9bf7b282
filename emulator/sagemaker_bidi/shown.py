"""What others have sent, made fit to be shown: one place escapes, and one redacts.

A container's Close reason, an endpoint's name or a header may hold line breaks that forge a line
of the log, sequences that command a terminal, and secrets. Every log of the emulator's is written
through `logger_named`, and what a command prints of others' goes through `plain`.
"""

from __future__ import annotations

import logging
import re

LONGEST = 8_000  # characters of one message in the log

# Colours say nothing that is worth an escape's noise.
_COLOUR = re.compile("(?:\x1b\\[|\x9b)[0-9;:]*m")
# Control characters, those that turn the direction of writing, line ends of Unicode's own, and
# halves of a character that no stream can encode.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
# Each is bounded on its left, or a long word would take the square of its length.
_QUERY = re.compile(r"([?&][^\s=&?'\"]{1,128}=)[^\s&'\"]+")
_SECRET = re.compile(
    r"((?:token|secret|passw|signature|credential|api[_-]?key|access[_-]?key)[\w.-]{0,32}"
    r"['\"]?=['\"]?)[^\s&,;'\"]+",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\b((?:x-amz-security-token|authorization|cookie|x-api-key)['\"]?[:,] ?(?:b?['\"])?)[^'\"]+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)


def plain(text: str) -> str:
    """One line with nothing in it that a terminal or a reader of logs would obey.

    Args:
        text: anything; colours are dropped, other control characters written as Python does.
    """
    return _CONTROL.sub(_escape, _COLOUR.sub("", text))


def redacted(text: str) -> str:
    """The text without the values of queries, tokens, keys and signatures."""
    text = _QUERY.sub(r"\1…", _HEADER.sub(r"\1…", text))
    text = _SCHEME.sub(r"\1 …", text)
    return _SECRET.sub(r"\1…", text)


def logger_named(name: str) -> logging.Logger:
    """A logger whose messages are redacted, plain and of bounded length, whoever handles them."""
    logger = logging.getLogger(name)
    if _FIT not in logger.filters:
        logger.addFilter(_FIT)
    return logger


class _Fit(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _message(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            trace = logging.Formatter().formatException(record.exc_info)
            record.exc_text = "\n".join(plain(redacted(line)) for line in trace.split("\n"))
        return True


_FIT = _Fit()


def _message(text: str) -> str:
    # Cut before and after: what is cut is not searched, and escapes make text longer.
    text = plain(redacted(text[: 2 * LONGEST]))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… (cut)"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
