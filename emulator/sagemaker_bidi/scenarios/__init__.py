"""The catalogue: failures that people meet, by name, each reproducible with one command."""

from __future__ import annotations

import difflib
import functools
import tomllib
from importlib.resources import files

from sagemaker_bidi.scenarios.scenario import (
    GROUPS,
    Group,
    Parameter,
    Scenario,
    ScenarioError,
    read_scenario,
)

__all__ = [
    "GROUPS",
    "Group",
    "Parameter",
    "Scenario",
    "ScenarioError",
    "read_scenario",
    "scenario",
    "scenarios",
]


@functools.cache
def scenarios() -> tuple[Scenario, ...]:
    """Every scenario of the catalogue, by group and name."""
    found = [
        read_scenario(tomllib.loads(entry.read_text("utf-8")), entry.name.removesuffix(".toml"))
        for entry in files(__name__).joinpath("catalogue").iterdir()
        if entry.name.endswith(".toml")
    ]
    order = list(GROUPS)
    return tuple(sorted(found, key=lambda each: (order.index(each.group), each.name)))


def scenario(name: str) -> Scenario:
    """The scenario of a name; `rst-stream-CANCEL` and `rst-stream-cancel` are the same.

    Raises:
        ScenarioError: there is none; names the closest ones.
    """
    known = {each.name: each for each in scenarios()}
    plain = name.lower().replace("_", "-")
    if plain in known:
        return known[plain]
    close = difflib.get_close_matches(plain, known, n=3, cutoff=0.5)
    close += [each for each in known if plain in each and each not in close][:3]
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    raise ScenarioError(f"there is no scenario {name!r}{meant} (`bidi scenarios` lists them all)")
