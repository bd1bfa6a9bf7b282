"""A pytest plugin for this project's own tests: `@pytest.mark.clause("F3")`, and none forgotten.

Loaded by the conftest.py at the top. An id that the ledger does not know stops the run at
collection. When the whole tree is collected, or with `--clauses-covered`, a clause that no test
carries fails the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from sagemaker_bidi.contract.ledger import Clause, LedgerError, ledger

_MARKER = "clause(id, …): the rules of the SageMaker contract that this test holds"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--clauses-covered`."""
    parser.getgroup("contract").addoption(
        "--clauses-covered",
        action="store_true",
        help="fail when a clause of the ledger has no test; on by itself for the whole tree",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and what checks it."""
    config.addinivalue_line("markers", _MARKER)
    config.pluginmanager.register(_Coverage(_is_whole_tree(config)), "clause-coverage")


def clauses_of(item: pytest.Item) -> tuple[str, ...]:
    """The clause ids that a test carries.

    Raises:
        LedgerError: a mark with no id, or with one that is not in the ledger.
    """
    ids: list[str] = []
    for mark in item.iter_markers("clause"):
        if not mark.args:
            raise LedgerError('a clause mark names no clause; write @pytest.mark.clause("F3")')
        ids += [ledger().clause(str(clause_id)).id for clause_id in mark.args]
    return tuple(ids)


def without_test(covered: Iterable[str]) -> list[Clause]:
    """The clauses that should be held by a test and are not among `covered`."""
    held = set(covered)
    return [clause for clause in ledger() if clause.tested and clause.id not in held]


class _Coverage:
    def __init__(self, whole_tree: bool) -> None:
        self._whole_tree = whole_tree
        self._missing: list[Clause] = []

    # Before other plugins deselect: a test left out by -k still holds its clause.
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        covered: set[str] = set()
        wrong = []
        for item in items:
            try:
                covered.update(clauses_of(item))
            except LedgerError as error:
                wrong.append(f"{item.nodeid}: {error}")
        if wrong:
            raise pytest.UsageError("\n".join(wrong))
        if self._whole_tree or config.getoption("--clauses-covered"):
            self._missing = without_test(covered)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self._missing and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._missing:
            return
        terminalreporter.section("clauses without a test", sep="=", red=True)
        for clause in self._missing:
            terminalreporter.line(f"{clause.id:<3} {clause.title} ({clause.provenance})")
        terminalreporter.line(
            f"{len(self._missing)} of {len(ledger().clauses)}: mark a test that holds the clause "
            'with @pytest.mark.clause("ID")'
        )


def _is_whole_tree(config: pytest.Config) -> bool:
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        return True
    roots = [config.rootpath / str(name) for name in config.getini("testpaths")]
    given = [Path(config.invocation_params.dir, argument) for argument in config.args]
    return bool(roots) and {path.resolve() for path in given} >= {path.resolve() for path in roots}
