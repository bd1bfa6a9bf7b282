"""A scenario as a command line writes it: `NAME:parameter=value,…`."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from typing import Any

from sagemaker_bidi.scenarios import Scenario, ScenarioError, scenario

METAVAR = "NAME[:PARAMETER=VALUE,…]|FILE"
SYNTAX = (
    "Parameters follow a colon and are parted by commas; a text that holds a comma stands in "
    "quotes, as in TOML."
)
# Up to a comma, but for one inside the quotes of TOML.
_PAIR = re.compile(r"""([^=,]*)=\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^,]*?)\s*(?:,|$)""")


def is_file(text: str) -> bool:
    """Whether a TOML file is meant, and no name of the catalogue."""
    return text.endswith(".toml") or "/" in text.partition(":")[0]


def written(text: str) -> Scenario:
    """The scenario of the catalogue that a text means, with the parameters that it chooses.

    Args:
        text: `container-dies`, or `container-close-1011:after_parts=3,reason="soon, very soon"`.
            A value is TOML's, or else text as it is.

    Raises:
        ScenarioError: a name or a parameter that there is not, or a text that cannot be read.
    """
    name, _, rest = text.partition(":")
    chosen = scenario(name)
    parameters: dict[str, Any] = {}
    while rest := rest.lstrip(", "):
        pair = _PAIR.match(rest)
        if pair is None:
            key = rest.partition(",")[0].strip() or "NAME"
            raise ScenarioError(f"{text}: write a parameter as {name}:{key}=VALUE")
        parameters[pair[1].strip()] = _value(pair[2], text)
        rest = rest[pair.end() :]
    return chosen.with_parameters(**parameters)


def option(chosen: Scenario) -> str:
    """The option that chooses a scenario's parameters, each with its default, for a shell."""
    given = ",".join(
        f"{each.name}={json.dumps(each.example, ensure_ascii=False)}"
        for each in chosen.parameters.values()
    )
    return f"--scenario {shlex.quote(f'{chosen.name}:{given}')}"


def _value(value: str, text: str) -> Any:
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        if value.startswith(("'", '"')):
            raise ScenarioError(f"{text}: {value} is no text of TOML's: {error}") from error
        return value
