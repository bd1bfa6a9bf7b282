"""The registry of checks: one check is one async function with an id, a title and its clauses."""

from __future__ import annotations

import contextlib
import difflib
import importlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sagemaker_bidi.contract.ledger import LedgerError, ledger
from sagemaker_bidi.extras import ExtraMissing, needs
from sagemaker_bidi_contract.verdicts import Outcome

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
        basis: what nearly every check of its kind rests on, such as `session`.
    """

    id: str
    title: str
    clauses: tuple[str, ...]
    requires: tuple[str, ...]
    run: Run
    seconds: float | None = None
    ends_target: bool = False
    basis: tuple[str, ...] = ()

    @property
    def first_clause(self) -> str:
        """The clause under which a report lists it."""
        return self.clauses[0]


class Registry:
    """The checks of one kind of target, in the order in which they are made.

    Args:
        kind: of target.
        modules: that register checks when they are imported, in the order of their checks. They
            are imported when somebody asks for the checks, so it matters to nobody who has
            imported what before.
        basis: what its checks rest on unless they say otherwise.
    """

    def __init__(
        self, kind: Kind, modules: Iterable[str] = (), basis: tuple[str, ...] = ()
    ) -> None:
        self.kind = kind
        self._basis = basis
        self._modules = tuple(modules)
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
        basis: tuple[str, ...] | None = None,
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
                *(check_id, title, clauses, requires, run, seconds, ends_target),
                self._basis if basis is None else basis,
            )
            return run

        return register

    def all(self) -> tuple[Check, ...]:
        """Every check, module by module; those that end the target come last."""
        for module in self._modules:
            # What needs an extra is not there without it; whoever asks for it is told.
            with contextlib.suppress(ExtraMissing), needs("client", module):
                importlib.import_module(module)
        return tuple(sorted(self._checks.values(), key=self._place))

    def select(
        self, clauses: Iterable[str] = (), ids: Iterable[str] = (), beside: Iterable[Check] = ()
    ) -> tuple[Check, ...]:
        """The checks of these clauses and ids; all where neither is given.

        An id may be the beginning of several: `container` selects all that start with it.

        Args:
            beside: checks of this run alone, to select from as well.

        Raises:
            SelectionError: a clause that the ledger or no check knows, or an id of no check.
        """
        # Sorting is stable: what ends the target stays behind what was added.
        there = tuple(sorted((*self.all(), *beside), key=lambda check: check.ends_target))
        wanted_clauses, wanted_ids = set(clauses), set(ids)
        if not wanted_clauses and not wanted_ids:
            return there
        for clause_id in sorted(wanted_clauses):
            self._known_clause(clause_id, there)
        chosen: set[str] = {check.id for check in there if wanted_clauses & set(check.clauses)}
        for given in sorted(wanted_ids):
            chosen |= self._known_id(given, there)
        return tuple(check for check in there if check.id in chosen)

    def _place(self, check: Check) -> tuple[bool, int]:
        module = check.run.__module__
        place = self._modules.index(module) if module in self._modules else len(self._modules)
        return check.ends_target, place

    def _known_clause(self, clause_id: str, there: tuple[Check, ...]) -> None:
        try:
            ledger().clause(clause_id)
        except LedgerError as error:
            raise SelectionError(str(error)) from error
        held = {held for check in there for held in check.clauses}
        if clause_id not in held:
            known = ", ".join(known for known in ledger().ids if known in held)
            raise SelectionError(
                f"no check of {_article(self.kind)} holds clause {clause_id}; "
                f"there are checks for {known}"
            )

    def _known_id(self, given: str, there: tuple[Check, ...]) -> set[str]:
        ids = [check.id for check in there]
        found = {known for known in ids if known == given or known.startswith(f"{given}.")}
        if not found:
            near = difflib.get_close_matches(given, ids, n=3, cutoff=0.4)
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise SelectionError(
                f"no check of {_article(self.kind)} has the id {given!r}{hint}; --list shows all"
            )
        return found


def _article(kind: Kind) -> str:
    return f"{'a' if kind == 'container' else 'an'} {kind}"


def _in(package: str, *modules: str) -> tuple[str, ...]:
    return tuple(f"sagemaker_bidi_contract.{package}.{module}" for module in modules)


CONTAINER = Registry(
    "container",
    _in(
        "container",
        *("opening", "metadata", "frames", "fragments", "keepalive", "ending", "realtime"),
        *("bridge_opening", "bridge_relay", "bridge_ending", "stopping"),
    ),
    basis=("session",),
)
ENDPOINT = Registry(
    "endpoint",
    _in(
        "endpoint",
        *("opening", "sdk", "access", "names", "variants", "refusals", "frames", "chunks"),
        *("ending", "obeying", "metadata", "keepalive", "unseen"),
    ),
)
IMAGE = Registry("image", _in("image", "checks"))
