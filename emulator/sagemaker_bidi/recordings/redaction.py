"""What no recording holds, and who made it."""

from __future__ import annotations

import importlib.metadata
import re
from urllib.parse import unquote_plus

LEFT_OUT = "REDACTED"

# A value may hold fields of its own: `next=/a?token=b`, or, as SageMaker takes it (W2),
# `next=%2Fa%3Ftoken%3Db`.
_NAME = re.compile(
    r"(?i)(?:(?<![^&;?=])|(?<=%26)|(?<=%3[bdf]))((?:(?!%26|%3[bdf])[^&;?=])+)(?:=|%3d)"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Wherever it stands in a name: rather too much is hidden (`keyboard`) than too little.
_SECRET = re.compile(
    "token|secret|key|sign|passw|passp|passc|pwd|auth|cred|jwt|bearer|accesscode|sessid|sessionid"
)
# As a word of a name, `db_pass` or `userSig`: `compass` and `sidebar` are none.
_SECRET_WORDS = {"sig", "hmac", "pass", "pw", "pin", "otp", "totp", "sid", "sas"}
# As the whole name: `language_code` is none.
_SECRET_NAMES = {"code"}
# A JSON Web Token, whatever its name: base64 of `{"`, then a dot.
_JWT = re.compile(r"(?:(?<![\w-])|(?<=%[\dA-Fa-f]{2}))eyJ[\w-]+\.[\w.-]+")
_MACHINE = re.compile(r" (?:os|md/arch|md/pyimpl)[/#]\S*")


def hide_secrets(path: str) -> tuple[str, bool]:
    """A path without the query values that look like secrets, and whether there were any.

    A value looks like one by its name, or as a JSON Web Token.
    """
    bare, mark, query = path.partition("?")
    shown = []
    at = 0
    for name in _NAME.finditer(query):
        if name.start() >= at and _is_secret(unquote_plus(name[1])):
            end = query.find("&", name.end())
            end = len(query) if end < 0 else end
            shown += [query[at : name.end()], LEFT_OUT if end > name.end() else ""]
            at = end
    text = _JWT.sub(LEFT_OUT, "".join([*shown, query[at:]]))
    return f"{bare}{mark}{text}", text != query


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    whole = "".join(words)
    return (
        _SECRET.search(whole) is not None
        or not _SECRET_WORDS.isdisjoint(words)
        or whole in _SECRET_NAMES
    )


def without_machine(user_agent: str) -> str:
    """A client's name without the machine that it runs on."""
    return _MACHINE.sub("", user_agent)


def made_with() -> str:
    """This package and its version."""
    try:
        return f"sagemaker-bidi {importlib.metadata.version('sagemaker-bidi')}"
    except importlib.metadata.PackageNotFoundError:
        return "sagemaker-bidi"
