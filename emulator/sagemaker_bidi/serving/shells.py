"""An emulator's environment, as shells, tools and other machines take it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from sagemaker_bidi.environment import Environment

FOLDER = "/etc/sagemaker-bidi"


class Format(StrEnum):
    """Who reads it."""

    SH = "sh"
    FISH = "fish"
    POWERSHELL = "powershell"
    ENV = "env"
    JSON = "json"
    DOCKER = "docker"


def rendered(environment: Environment, form: Format) -> str:
    """An environment in a form, without the last line's end.

    Raises:
        ValueError: it cannot be said in this form.
    """
    return _FORMS[form](environment)


def _sh(environment: Environment) -> str:
    exports = [f"export {name}={shlex.quote(value)}" for name, value in _set(environment)]
    return "\n".join([f"unset {' '.join(environment.cleared)}", *exports])


def _fish(environment: Environment) -> str:
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    # Without -q: `set -e` of what is not set says nothing.
    erased = [f"set -e {name}" for name in environment.cleared]
    return "\n".join([*erased, *(f"set -gx {name} {quoted(v)}" for name, v in _set(environment))])


def _powershell(environment: Environment) -> str:
    # Set to nothing it is gone, and no error where it never was.
    erased = [f"$env:{name} = $null" for name in environment.cleared]
    given = (f"$env:{name} = '{value.replace("'", "''")}'" for name, value in _set(environment))
    return "\n".join([*erased, *given])


def _env(environment: Environment) -> str:
    return "\n".join(f"{name}={value}" for name, value in _set(environment))


def _json(environment: Environment) -> str:
    both = {"set": dict(environment.variables), "unset": list(environment.cleared)}
    return json.dumps(both, indent=2)


def _docker(environment: Environment) -> str:
    """Options of `docker run`: what is on this machine alone is mounted, or has another name."""
    words: list[str] = []
    for name, value in _set(environment):
        if value.startswith("/"):
            inside = f"{FOLDER}/{value.rpartition('/')[2]}"
            mount = f"--volume={value}:{inside}:ro"
            words += [mount] if mount not in words else []
            value = inside
        words.append(f"--env={name}={_from_a_container(value)}")
    words.append("--add-host=host.docker.internal:host-gateway")
    if spoiled := next((word for word in words if re.search(r"\s", word)), None):
        raise ValueError(
            f"a shell would part {spoiled!r} at its space: set BIDI_STATE_DIR to a folder without"
        )
    return " ".join(words)


def _from_a_container(value: str) -> str:
    if not value.startswith("https://"):
        return value
    parts = urlsplit(value)
    if parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        return value
    return f"https://host.docker.internal:{parts.port}"


def _set(environment: Environment) -> list[tuple[str, str]]:
    return list(environment.variables.items())


_FORMS: Mapping[Format, Callable[[Environment], str]] = {
    Format.SH: _sh,
    Format.FISH: _fish,
    Format.POWERSHELL: _powershell,
    Format.ENV: _env,
    Format.JSON: _json,
    Format.DOCKER: _docker,
}
