"""What `--scenario NAME|FILE` means: a plan, and changes to the configuration."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sagemaker_bidi.config import Config, ConfigError, merged
from sagemaker_bidi.faults.plan import Plan, PlanError, read_plan
from sagemaker_bidi.scenarios import Scenario, ScenarioError, read_scenario
from sagemaker_bidi.scenarios.written import is_file, written


def apply(config: Config, chosen: Sequence[str | Scenario]) -> tuple[Config, list[Plan]]:
    """Put scenarios over a configuration.

    Args:
        config: the emulator's.
        chosen: each a scenario; or a text, which names one of the catalogue, with parameters as
            in `container-dies:after_parts=20,…`, or a TOML file: a scenario as those of the
            catalogue are, or a fault plan, which may also have the tables `contract`, `http2` and
            `config`.

    Returns:
        The configuration for the emulator and its plans, in the order given.

    Raises:
        ScenarioError: a name, parameter or file that does not fit; says what does.
    """
    overrides: dict[str, Any] = {}
    plans: list[Plan] = []
    for each in chosen:
        plan, changes = _read(each)
        overrides = merged(overrides, changes)
        if plan.rules:
            plans.append(plan)
    names = [plan.name for plan in plans]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ScenarioError(f"--scenario {twice}: given twice")
    if not overrides:
        return config, plans
    try:
        return config.over(overrides), plans
    except ConfigError as error:
        names = [each if isinstance(each, str) else each.name for each in chosen]
        raise ScenarioError(f"--scenario {', '.join(names)}: {error}") from error


def _read(chosen: str | Scenario) -> tuple[Plan, dict[str, Any]]:
    if isinstance(chosen, str):
        if is_file(chosen):
            return _from_file(Path(chosen))
        chosen = written(chosen)
    return chosen.plan(), chosen.config_overrides()


def _from_file(path: Path) -> tuple[Plan, dict[str, Any]]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: is no valid TOML: {error}") from error
    if "title" in table:
        chosen = read_scenario(table, path.stem)
        return chosen.plan(), chosen.config_overrides()
    overrides = dict(table.pop("config", {}))
    overrides |= {key: table.pop(key) for key in ("contract", "http2") if key in table}
    if overrides and not table:
        return Plan(path.stem, ()), overrides
    try:
        return read_plan(table, name=path.stem, where=str(path)), overrides
    except PlanError as error:
        raise ScenarioError(str(error)) from error
