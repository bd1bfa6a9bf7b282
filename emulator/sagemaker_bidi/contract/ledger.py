"""The ledger: every clause of the contract, where it is known from, and what can be chosen.

`python -m sagemaker_bidi.contract.ledger --write docs/contract.md` makes the page for people.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import math
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import get_args

from sagemaker_bidi.contract.settings import Provenance

type Number = int | float | str | list[int] | list[str]

PROVENANCES: Mapping[Provenance, str] = {
    "documented": "AWS's developer guide, API reference, service model or SDK says so",
    "reported": "somebody published that a live endpoint did this",
    "assumed": "nobody has published it: our choice, and therefore a setting",
    "conflict": "publications disagree: a default, and a setting for the other",
}


class LedgerError(ValueError):
    """The ledger cannot be used; says which clause, which field and what is expected."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One rule of the contract.

    Args:
        id: such as `F3`.
        title: a few words.
        statement: the rule, in Markdown.
        source: who says so.
        provenance: how it is known.
        settings: where it can be chosen, such as `contract.reassemble`.
        numbers: its numbers, statuses and fixed words by name; the name of a setting stands for
            that setting's default.
        tested: False where no test can hold it; `why` says what stands in the way.
        why: empty unless `tested` is False.
    """

    id: str
    title: str
    statement: str
    source: str
    provenance: Provenance
    settings: tuple[str, ...] = ()
    numbers: Mapping[str, Number] = field(default_factory=dict)
    tested: bool = True
    why: str = ""

    @property
    def group(self) -> str:
        """The letter of its group."""
        return self.id[0]


@dataclass(frozen=True, slots=True)
class Ledger:
    """All clauses, in the contract's order, and the groups by their letter."""

    clauses: tuple[Clause, ...]
    groups: Mapping[str, str]

    def __iter__(self) -> Iterator[Clause]:
        return iter(self.clauses)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all clauses, in order."""
        return tuple(clause.id for clause in self.clauses)

    def __contains__(self, clause_id: object) -> bool:
        return clause_id in self.ids

    def clause(self, clause_id: str) -> Clause:
        """The clause of that id.

        Raises:
            LedgerError: there is none; the message names those of the same group.
        """
        for clause in self.clauses:
            if clause.id == clause_id:
                return clause
        kin = [known for known in self.ids if known[:1] == clause_id[:1].upper()] or self.ids
        raise LedgerError(f"no clause has the id {clause_id!r}; there are {', '.join(kin)}")


_REQUIRED = ("title", "statement", "source", "provenance")
_OPTIONAL = ("settings", "numbers", "tested", "why")


def parse(text: str) -> Ledger:
    """Read a ledger from TOML.

    Raises:
        LedgerError: it is no TOML, a field is missing, unknown or empty, a provenance is not one
            of the four, or an assumption has no setting.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LedgerError(f"the ledger is no valid TOML: {error}") from error
    groups: dict[str, str] = table.get("groups", {})
    clauses = []
    for clause_id, entry in table.get("clauses", {}).items():
        clauses.append(_clause(clause_id, entry, groups))
    return Ledger(tuple(clauses), groups)


def _clause(clause_id: str, entry: Mapping[str, object], groups: Mapping[str, str]) -> Clause:
    def wrong(problem: str) -> LedgerError:
        return LedgerError(f"clause {clause_id}: {problem}")

    if clause_id[:1] not in groups:
        raise wrong(f"its letter is no group; there are {', '.join(groups)}")
    if missing := [name for name in _REQUIRED if not entry.get(name)]:
        raise wrong(f"{missing[0]} is missing or empty")
    if unknown := sorted(set(entry) - {*_REQUIRED, *_OPTIONAL}):
        names = [item.name for item in fields(Clause)]
        raise wrong(f"{unknown[0]} is no field; there are {', '.join(names)}")
    match entry:
        case {
            "title": str(title),
            "statement": str(statement),
            "source": str(source),
            "provenance": "documented" | "reported" | "assumed" | "conflict" as provenance,
        }:
            pass
        case _:
            known = ", ".join(get_args(Provenance.__value__))
            raise wrong(f"title, statement and source are texts, provenance is one of {known}")
    settings, tested, why = entry.get("settings", []), entry.get("tested", True), entry.get("why")
    if not isinstance(settings, list) or not all(isinstance(item, str) for item in settings):
        raise wrong("settings is a list of texts")
    numbers = entry.get("numbers", {})
    if not isinstance(numbers, dict) or not all(map(_is_number, numbers.values())):
        raise wrong("numbers is a table of numbers, texts, or lists of them")
    if provenance in ("assumed", "conflict") and not settings:
        raise wrong(f"it is {provenance}, so it needs a setting")
    if (tested is not True) != bool(why):
        raise wrong("tested = false and a why go together")
    return Clause(
        clause_id,
        title,
        statement.strip(),
        source,
        provenance,
        tuple(settings),
        numbers,
        tested is True,
        str(why or ""),
    )


def _is_number(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(each, int | float | str) for each in values)


@functools.cache
def ledger() -> Ledger:
    """The contract's own ledger."""
    return parse(files("sagemaker_bidi.contract").joinpath("clauses.toml").read_text("utf-8"))


_HEAD = """\
<!-- Made of clauses.toml by `python -m sagemaker_bidi.contract.ledger --write docs/contract.md` -->

# The contract

What SageMaker AI does on a bidirectional stream, rule by rule. Tests, log lines, errors and
reports carry these ids.
"""


def to_markdown(book: Ledger) -> str:
    """Write the page for people: what the words mean, a table of contents, every clause."""
    lines = [_HEAD, "| Provenance | Means | Clauses |", "|---|---|---|"]
    for word, meaning in PROVENANCES.items():
        ids = ", ".join(f"[{c.id}](#{_anchor(c)})" for c in book if c.provenance == word)
        lines.append(f"| {word} | {meaning} | {ids or 'none'} |")
    for letter, name in book.groups.items():
        lines += ["", f"## {name}"]
        for clause in book:
            if clause.group == letter:
                lines += _section(clause)
    return "\n".join(lines) + "\n"


def _section(clause: Clause) -> list[str]:
    known = f"**{clause.provenance}** · {clause.source}"
    if clause.settings:
        known += " · set by " + ", ".join(f"`{name}`" for name in clause.settings)
    lines = ["", f"### {clause.id} {clause.title}", "", clause.statement, "", known]
    if clause.numbers:
        numbers = ", ".join(f"`{name}` {_shown(value)}" for name, value in clause.numbers.items())
        lines += ["", f"Numbers: {numbers}"]
    if not clause.tested:
        lines += ["", f"Held by no test: {clause.why}"]
    return lines


def _shown(value: Number) -> str:
    if isinstance(value, list):
        return " and ".join(map(_shown, value))
    if isinstance(value, str):
        return f"`{value}`"
    return "none" if value == math.inf else f"{value:,}"


def _anchor(clause: Clause) -> str:
    kept = (c for c in f"{clause.id} {clause.title}".lower() if c.isalnum() or c in " -")
    return "".join(kept).replace(" ", "-")


def main(arguments: list[str] | None = None) -> int:
    """Write or check the page.

    Returns:
        The exit status: 1 when `--check` finds the page stale, and prints the difference.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sagemaker_bidi.contract.ledger", description=__doc__
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", type=Path, metavar="FILE", help="write the page")
    what.add_argument("--check", type=Path, metavar="FILE", help="fail when the page is stale")
    options = parser.parse_args(arguments)
    page = to_markdown(ledger())
    if options.write is not None:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(page, "utf-8")
        return 0
    path: Path = options.check
    found = path.read_text("utf-8") if path.exists() else ""
    if found == page:
        return 0
    lines = difflib.unified_diff(
        found.splitlines(True), page.splitlines(True), str(path), "the ledger"
    )
    sys.stdout.writelines(lines)
    print(
        f"{path} is stale; run: python -m sagemaker_bidi.contract.ledger --write {path}",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
