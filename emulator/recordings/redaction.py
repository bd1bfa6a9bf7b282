"""What no recording holds, and who made it."""

from __future__ import annotations

import importlib.metadata
import re

LEFT_OUT = "REDACTED"

_SECRET = re.compile(r"(?i)([\w-]*(?:token|secret|key|sign|passw|auth|cred)[\w-]*)=([^&]+)")
_MACHINE = re.compile(r" (?:os|md/arch|md/pyimpl)[/#]\S*")


def hide_secrets(path: str) -> tuple[str, bool]:
    """A path without the query values whose names tell of secrets, and whether there were any."""
    bare, mark, query = path.partition("?")
    shown = _SECRET.sub(rf"\1={LEFT_OUT}", query)
    return f"{bare}{mark}{shown}", shown != query


def without_machine(user_agent: str) -> str:
    """A client's name without the machine that it runs on."""
    return _MACHINE.sub("", user_agent)


def made_with() -> str:
    """This package and its version."""
    try:
        return f"sagemaker-bidi {importlib.metadata.version('sagemaker-bidi')}"
    except importlib.metadata.PackageNotFoundError:
        return "sagemaker-bidi"
