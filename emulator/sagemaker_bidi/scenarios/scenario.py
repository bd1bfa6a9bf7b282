"""A scenario: a failure with a name, what to know about it, and the plan that reproduces it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from sagemaker_bidi.faults.plan import Plan, PlanError, read_plan

type Group = Literal["opening", "streaming", "http2-tcp", "time", "metadata", "vllm"]

GROUPS: Mapping[Group, str] = {
    "opening": "Opening",
    "streaming": "Streaming",
    "http2-tcp": "HTTP/2 and TCP",
    "time": "Time",
    "metadata": "Metadata stream",
    "vllm": "vLLM",
}
# What a scenario may bring: rules go into its plan, the tables into the emulator's configuration.
_TABLES = ("rules", "contract", "http2", "config")
# Faults that are the service's answer, not what makes it give one.
_ANSWERS = {"refuse", "inject-error"}
SAYS_THE_ANSWER = (
    "The plan gives the service's answer by itself, whatever the client and the container do: it "
    "shows what the answer looks like to the client, not the cause at work."
)
# What a scenario lets by first can be chosen in all of them, by one name.
_AFTER = "rules.0.when.after"
_AFTER_PARTS = {"meaning": "parts that the client gets first", "sets": [_AFTER]}
_KEYS = {"group", "title", "clauses", "what", "why", "do", "needs", "time_scale", "parameters"}


class ScenarioError(ValueError):
    """A scenario that does not exist or cannot be used so; says what there is."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a user may choose in a scenario.

    Args:
        name: as it is given.
        meaning: what it decides, with its unit.
        default: where it is not given; None for no limit.
        sets: the values of the scenario's tables that it stands for, as dotted paths.
    """

    name: str
    meaning: str
    default: Any
    sets: tuple[str, ...]

    @property
    def example(self) -> Any:
        """A value to show: the default, or twice."""
        return 2 if self.default is None else self.default


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named failure.

    Args:
        name: by which it is asked for.
        group: where it is listed.
        title: one line.
        clauses: the rules of the contract that it shows.
        what: what happens.
        why: why it happens, in production.
        do: what to do about it.
        needs: what must be there beside the emulator; empty for nothing.
        time_scale: the clock that makes it quick to watch; 1 for none.
        parameters: by name.
        tables: `rules`, `contract`, `http2` and `config`, with the parameters' defaults.
        given: parameters that were chosen.
    """

    name: str
    group: Group
    title: str
    clauses: tuple[str, ...]
    what: str
    why: str
    do: str
    needs: str = ""
    time_scale: float = 1.0
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def at_start(self) -> bool:
        """Whether it changes the configuration, so that a running emulator cannot take it."""
        return any(self.tables.get(table) for table in ("contract", "http2", "config"))

    @property
    def note(self) -> str:
        """What to know of how it is reproduced; empty where that is the real thing."""
        faults = {rule["do"] for rule in self.tables.get("rules", ())}
        return SAYS_THE_ANSWER if faults & _ANSWERS else ""

    @property
    def command(self) -> str:
        """The command that shows it on the user's own container."""
        scale = f" --time-scale {self.time_scale:g}" if self.time_scale != 1 else ""
        return f"bidi serve --endpoint NAME=ws://127.0.0.1:8080 --scenario {self.name}{scale}"

    @property
    def test_line(self) -> str:
        """What brings it into a test that has the pytest plugin's fixture `emulator`."""
        chosen = next(iter(self.parameters.values()), None)
        given = "" if chosen is None else f", {chosen.name}={chosen.example!r}"
        if self.at_start or self.time_scale != 1:
            scale = f", time_scale={self.time_scale:g}" if self.time_scale != 1 else ""
            return f'@pytest.mark.scenario("{self.name}"{given}{scale})'
        return f'async with emulator.scenario("{self.name}"{given}):'

    def with_parameters(self, **parameters: Any) -> Scenario:
        """The same with parameters chosen.

        Raises:
            ScenarioError: it has no such parameter.
        """
        for name in parameters:
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ScenarioError(
                    f"scenario {self.name} has no parameter {name!r}; it has: {known}"
                )
        return replace(self, given={**self.given, **parameters})

    def plan(self, **parameters: Any) -> Plan:
        """The fault plan; one without rules where the configuration does it all.

        Args:
            parameters: see `parameters`.

        Raises:
            ScenarioError: a parameter that it has not, a value that does not fit, or it needs
                what is not there.
        """
        self._require_usable()
        tables = self._chosen(parameters)
        if not tables.get("rules"):
            return Plan(self.name, ())
        try:
            return read_plan({"rules": tables["rules"]}, name=self.name, where=self.name)
        except PlanError as error:
            raise ScenarioError(f"scenario {error}") from error

    def config_overrides(self, **parameters: Any) -> dict[str, Any]:
        """What it changes in the emulator's configuration, in the shape of `load_config`.

        Args:
            parameters: see `parameters`.

        Raises:
            ScenarioError: see `plan`.
        """
        self._require_usable()
        tables = self._chosen(parameters)
        overrides = dict(tables.get("config", {}))
        for table in ("contract", "http2"):
            if tables.get(table):
                overrides[table] = tables[table]
        return overrides

    def _require_usable(self) -> None:
        if self.needs:
            raise ScenarioError(
                f"scenario {self.name} needs a {self.needs.replace('-', ' ')}: it disturbs the "
                "container itself, which a fault plan cannot reach"
            )

    def _chosen(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        chosen = self.with_parameters(**parameters)
        tables: dict[str, Any] = copy.deepcopy(dict(self.tables))
        for name, value in chosen.given.items():
            for path in self.parameters[name].sets:
                _set(tables, path, value)
        return tables


def read_scenario(table: Mapping[str, Any], name: str) -> Scenario:
    """Read a scenario from its TOML table.

    Raises:
        ScenarioError: something is missing or unknown.
    """
    if unknown := sorted(set(table) - _KEYS - set(_TABLES)):
        raise ScenarioError(f"scenario {name}: {unknown[0]}: no such key")
    for key in ("group", "title", "clauses", "what", "why", "do"):
        if not table.get(key):
            raise ScenarioError(f"scenario {name}: {key} is missing")
    if table["group"] not in get_args(Group.__value__):
        raise ScenarioError(f"scenario {name}: group: one of {', '.join(GROUPS)}")
    tables = {key: table[key] for key in _TABLES if key in table}
    parameters = {
        key: _parameter(name, key, entry, tables) for key, entry in _parameters(table).items()
    }
    return Scenario(
        name=name,
        group=table["group"],
        title=table["title"],
        clauses=tuple(table["clauses"]),
        what=_flow(table["what"]),
        why=_flow(table["why"]),
        do=_flow(table["do"]),
        needs=table.get("needs", ""),
        time_scale=table.get("time_scale", 1.0),
        parameters=parameters | _times(tables),
        tables=tables,
    )


def _times(tables: Mapping[str, Any]) -> dict[str, Parameter]:
    """How many invocations are refused before all is well: of every scenario that refuses some."""
    sets = tuple(
        f"rules.{number}.when.sessions"
        for number, rule in enumerate(tables.get("rules", ()))
        if rule.get("when", {}).get("point") == "opening"
    )
    meaning = "how many invocations it happens to, until all is well; to all unless given"
    return {"times": Parameter("times", meaning, None, sets)} if sets else {}


def _parameters(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of the file; `after_parts` goes without saying where the first rule counts parts."""
    told: Mapping[str, Any] = table.get("parameters", {})
    rules: Sequence[Mapping[str, Any]] = table.get("rules", ())
    when = rules[0].get("when", {}) if rules else {}
    counts = "after" in when and when.get("point", "to-client") == "to-client"
    if not counts or any(_AFTER in entry.get("sets", ()) for entry in told.values()):
        return told
    return {"after_parts": _AFTER_PARTS, **told}


def _parameter(
    scenario: str, name: str, entry: Mapping[str, Any], tables: Mapping[str, Any]
) -> Parameter:
    if set(entry) != {"meaning", "sets"} or not entry["sets"]:
        raise ScenarioError(f"scenario {scenario}: parameters.{name}: give meaning and sets")
    try:
        values = [_get(tables, path) for path in entry["sets"]]
    except (KeyError, IndexError, ValueError) as error:
        raise ScenarioError(
            f"scenario {scenario}: parameters.{name}: sets a value that is not there"
        ) from error
    if any(value != values[0] for value in values):
        raise ScenarioError(f"scenario {scenario}: parameters.{name}: its values differ")
    return Parameter(name, entry["meaning"], values[0], tuple(entry["sets"]))


def _get(tables: Any, path: str) -> Any:
    for step in path.split("."):
        tables = tables[int(step)] if isinstance(tables, list) else tables[step]
    return tables


def _set(tables: Any, path: str, value: Any) -> None:
    parent, _, last = path.rpartition(".")
    place = _get(tables, parent)
    place[int(last) if isinstance(place, list) else last] = value


def _flow(text: str) -> str:
    """A text whose lines were broken for the file only; blank lines part its paragraphs."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))
