"""Fault plans: when which fault acts on whom."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.frames import Frame, Opcode, Part
from sagemaker_bidi.contract.outputs import CloseContainer
from sagemaker_bidi.faults.kinds import FAULTS, AnyFault, Kind
from sagemaker_bidi.tap import Item, Point

# What passes where. A container's Close frame is the end of its connection, not something passing.
PASSES: dict[Point, tuple[Kind, ...]] = {
    "to-container": ("data", "ping", "close", "any"),
    "from-container": ("data", "ping", "pong", "any"),
    "to-client": ("data", "error", "any"),
}
PASSING: tuple[Point, ...] = tuple(PASSES)
POINTS: tuple[Point, ...] = ("opening", "opened", *PASSING)


class PlanError(ValueError):
    """A plan that cannot be used; says which rule and what is expected."""


@dataclass(frozen=True, slots=True)
class When:
    """When a rule acts; every condition that is given must hold.

    Args:
        point: where: at the opening, once the stream is open, or as something passes.
        after: so many items that fit are left alone; a fault that concerns the session then acts
            at once, with 0 before the first item. At the opening: so many invocations.
        at: seconds of the emulator's clock after the stream opened; what passes before that is
            left alone and not counted. Not with `opening`.
        kind: which items: data frames and parts, or control frames, errors, Close frames.
        type: the item's payload is JSON with this `type`.
        probability: of acting, for each item that fits; drawn from the plan's seed.
        times: how often in a session; unless given, a fault that concerns the session acts once
            and any other always.
        sessions: how many sessions, from the first that fits; None for all.
        endpoint, variant: only theirs.
    """

    point: Point = "to-client"
    after: int = 0
    at: float = 0.0
    kind: Kind = "data"
    type: str | None = None
    probability: float = 1.0
    times: int | None = None
    sessions: int | None = None
    endpoint: str | None = None
    variant: str | None = None

    def __post_init__(self) -> None:
        _require_finite(self)
        for name, least in (("after", 0), ("at", 0), ("times", 1), ("sessions", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be {least} or more, not {value}")
        if self.point not in POINTS:
            raise ValueError(f"point must be one of {', '.join(POINTS)}, not {self.point!r}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be from 0 to 1, not {self.probability}")
        if self.at and self.point == "opening":
            raise ValueError(
                'at counts from when the stream opened: it does not go with point = "opening"'
            )
        if self.after and self.point == "opened":
            raise ValueError('after counts what passes: it does not go with point = "opened"')
        if self.point in ("opening", "opened"):
            for name, default in (("kind", "data"), ("type", None), ("times", None)):
                if getattr(self, name) != default:
                    raise ValueError(
                        f'{name} says what passes: it does not go with point = "{self.point}"'
                    )
        elif self.kind not in PASSES[self.point]:
            raise ValueError(
                f'kind = "{self.kind}" does not pass at point = "{self.point}"; '
                f"{', '.join(PASSES[self.point])} do"
            )
        if self.type is not None and self.kind in ("error", "close"):
            raise ValueError(f'type is that of a payload: kind = "{self.kind}" has none')

    def fits(self, item: Item) -> bool:
        """Whether it is an item of this kind and type."""
        return KINDS[self.kind](item) and (self.type is None or _json_type(item) == self.type)


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault and when it acts.

    Raises:
        ValueError: the fault cannot act at that point or on that kind, names those where it can;
            or a number of it is not finite.
    """

    fault: AnyFault
    when: When = dataclasses.field(default_factory=When)

    def __post_init__(self) -> None:
        _require_finite(self.fault, f"{self.fault.name}.")
        points = points_of(self.fault)
        if self.when.point not in points:
            raise ValueError(
                f'{self.fault.name} cannot act at point = "{self.when.point}"; '
                f"it can at {', '.join(points)}"
            )
        kinds: tuple[Kind, ...] | None = getattr(self.fault, "kinds", None)
        if kinds is not None and self.when.kind not in kinds:
            raise ValueError(
                f'{self.fault.name} does nothing to kind = "{self.when.kind}"; '
                f"it acts on {', '.join(kinds)}"
            )


def _require_finite(described: Any, prefix: str = "") -> None:
    """Infinity and NaN slip through comparisons, and JSON has neither."""
    if not dataclasses.is_dataclass(described):
        return
    for each in dataclasses.fields(described):
        value = getattr(described, each.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{prefix}{each.name} must be a finite number, not {value}")


def points_of(fault: AnyFault) -> tuple[Point, ...]:
    """Where a fault may act: its own `points`, or what its methods allow."""
    own: tuple[Point, ...] | None = getattr(fault, "points", None)
    if own is not None:
        return own
    points: list[Point] = []
    if hasattr(fault, "open"):
        points.append("opening")
    if hasattr(fault, "act"):
        points.append("opened")
    if hasattr(fault, "act") or hasattr(fault, "apply"):
        points += PASSING
    return tuple(points)


@dataclass(frozen=True, slots=True)
class Plan:
    """Rules that belong together.

    Args:
        name: to list and remove it by.
        rules: in the order in which they act on what passes.
        seed: the same seed gives the same run.
    """

    name: str
    rules: tuple[Rule, ...]
    seed: int = 0


def load_plan(path: Path) -> Plan:
    """Read a plan from a TOML file.

    Raises:
        PlanError: the file cannot be read or does not fit; names file, rule, key and expectation.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: is no valid TOML: {error}") from error
    return read_plan(table, name=path.stem, where=str(path))


def read_plan(table: Mapping[str, Any], *, name: str, where: str) -> Plan:
    """Read a plan from a TOML table: `seed` and `[[rules]]` with `do`, its fields, and `when`.

    Args:
        name: for a plan that does not name itself.
        where: for error messages.

    Raises:
        PlanError: something does not fit.
    """
    if unknown := sorted(set(table) - {"name", "seed", "rules"}):
        raise PlanError(f"{where}: {unknown[0]}: no such key; there are name, seed, rules")
    name, seed, rules = table.get("name", name), table.get("seed", 0), table.get("rules")
    if not isinstance(name, str) or not name:
        raise PlanError(f"{where}: name: must be a text of one character or more, not {name!r}")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise PlanError(f"{where}: seed: must be a whole number, not {seed!r}")
    if not isinstance(rules, list) or not rules:
        raise PlanError(f"{where}: rules: a plan needs at least one [[rules]]")
    read = tuple(_rule(rule, f"{where}: rules[{index}]") for index, rule in enumerate(rules))
    return Plan(name, read, seed)


def plan_table(plan: Plan) -> dict[str, Any]:
    """A plan as `read_plan` takes it; what has its default is left out."""
    rules = [{"do": rule.fault.name, **_given(rule.fault)} for rule in plan.rules]
    for rule, table in zip(plan.rules, rules, strict=True):
        if when := _given(rule.when):
            table["when"] = when
    return {"name": plan.name, "seed": plan.seed, "rules": rules}


def _given(described: Any) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for each in dataclasses.fields(described):
        value = getattr(described, each.name)
        factory = each.default_factory
        default = each.default if factory is dataclasses.MISSING else factory()
        if value != default:
            table[each.name] = dict(value) if isinstance(value, Mapping) else value
    return table


def _rule(table: object, where: str) -> Rule:
    if not isinstance(table, dict):
        raise PlanError(f"{where}: is no table")
    fields = dict(table)
    name, when = fields.pop("do", None), fields.pop("when", {})
    if not isinstance(name, str) or name not in FAULTS:
        close = difflib.get_close_matches(str(name), FAULTS, n=1)
        meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(FAULTS))}"
        raise PlanError(f"{where}: do = {name!r}; {meant}")
    if not isinstance(when, dict):
        raise PlanError(f"{where}: when: must be a table, not {when!r}")
    fault = _built(FAULTS[name], fields, name, where)
    condition = _built(When, when, "when", where)
    try:
        return Rule(fault, condition)
    except ValueError as error:
        raise PlanError(f"{where}: {error}") from error


def _built[T](kind: type[T], fields: Mapping[str, Any], name: str, where: str) -> T:
    known = sorted(each.name for each in dataclasses.fields(cast(Any, kind)))
    if unknown := sorted(set(fields) - set(known)):
        raise PlanError(
            f"{where}: {name} has no field {unknown[0]}; it has {', '.join(known) or 'none'}"
        )
    try:
        return TypeAdapter(kind).validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([name, *(str(step) for step in first["loc"])])
        said = first["msg"].removeprefix("Value error, ")
        raise PlanError(f"{where}: {place}: {said}") from error


def _is_control(item: Item, opcode: Opcode) -> bool:
    return isinstance(item, Frame) and item.opcode is opcode


def _is_data(item: Item) -> bool:
    match item:
        case Part():
            return True
        case Frame(opcode):
            return opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
        case _:
            return False


KINDS: dict[Kind, Callable[[Item], bool]] = {
    "data": _is_data,
    "ping": lambda item: _is_control(item, Opcode.PING),
    "pong": lambda item: _is_control(item, Opcode.PONG),
    "error": lambda item: isinstance(item, StreamError),
    "close": lambda item: isinstance(item, CloseContainer),
    "any": lambda item: True,
}


def _json_type(item: Item) -> str | None:
    if not isinstance(item, Part | Frame):
        return None
    try:
        document = json.loads(item.payload)
    except (ValueError, RecursionError):
        return None
    kind = document.get("type") if isinstance(document, dict) else None
    return kind if isinstance(kind, str) else None
