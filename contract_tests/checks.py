"""The registry of checks: one check is one async function with an id, a title and its clauses."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from contract_tests.ledger import LedgerError, ledger
from contract_tests.verdicts import Outcome

type Kind = Literal["container", "endpoint", "image"]
type Run = Callable[[Any], Awaitable[Outcome]]


class SelectionError(ValueError):
    """No check has that id, or none holds that clause; the message names what there is."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Args:
        id: such as `container.ping-page`.
        title: what the target is expected to do, in words.
        clauses: ids of the ledger's clauses.
        requires: names of what it needs from the stage, such as `echo` or `pid`.
        run: makes the check on a stage.
        seconds: its time limit, or None for the run's own.
        ends_target: it ends the target and so goes last.
    """

    id: str
    title: str
    clauses: tuple[str, ...]
    requires: tuple[str, ...]
    run: Run
    seconds: float | None = None
    ends_target: bool = False

    @property
    def first_clause(self) -> str:
        """The clause under which a report lists it."""
        return self.clauses[0]


class Registry:
    """The checks of one kind of target, in the order in which they are made."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._checks: dict[str, Check] = {}

    def check(
        self,
        check_id: str,
        title: str,
        *,
        clauses: tuple[str, ...],
        requires: tuple[str, ...] = (),
        seconds: float | None = None,
        ends_target: bool = False,
    ) -> Callable[[Run], Run]:
        """Register the function under it as a check; the arguments are `Check`'s.

        Raises:
            ValueError: the id is taken, or a clause is not in the ledger.
        """
        if check_id in self._checks:
            raise ValueError(f"two checks have the id {check_id!r}")
        for clause_id in clauses:
            ledger().clause(clause_id)

        def register(run: Run) -> Run:
            self._checks[check_id] = Check(
                check_id, title, clauses, requires, run, seconds, ends_target
            )
            return run

        return register

    def all(self) -> tuple[Check, ...]:
        """Every check; those that end the target come last."""
        return tuple(sorted(self._checks.values(), key=lambda check: check.ends_target))

    def select(self, clauses: Iterable[str] = (), ids: Iterable[str] = ()) -> tuple[Check, ...]:
        """The checks of these clauses and ids; all where neither is given.

        An id may be the beginning of several: `container` selects all that start with it.

        Raises:
            SelectionError: a clause that the ledger or no check knows, or an id of no check.
        """
        wanted_clauses, wanted_ids = set(clauses), set(ids)
        if not wanted_clauses and not wanted_ids:
            return self.all()
        for clause_id in sorted(wanted_clauses):
            self._known_clause(clause_id)
        chosen: set[str] = {check.id for check in self.all() if wanted_clauses & set(check.clauses)}
        for given in sorted(wanted_ids):
            chosen |= self._known_id(given)
        return tuple(check for check in self.all() if check.id in chosen)

    def _known_clause(self, clause_id: str) -> None:
        try:
            ledger().clause(clause_id)
        except LedgerError as error:
            raise SelectionError(str(error)) from error
        held = {held for check in self.all() for held in check.clauses}
        if clause_id not in held:
            there = ", ".join(known for known in ledger().ids if known in held)
            raise SelectionError(
                f"no check of {_article(self.kind)} holds clause {clause_id}; "
                f"there are checks for {there}"
            )

    def _known_id(self, given: str) -> set[str]:
        found = {known for known in self._checks if known == given or known.startswith(f"{given}.")}
        if not found:
            near = difflib.get_close_matches(given, self._checks, n=3, cutoff=0.4)
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise SelectionError(
                f"no check of {_article(self.kind)} has the id {given!r}{hint}; --list shows all"
            )
        return found


def _article(kind: Kind) -> str:
    return f"{'a' if kind == 'container' else 'an'} {kind}"


CONTAINER = Registry("container")
ENDPOINT = Registry("endpoint")
IMAGE = Registry("image")
