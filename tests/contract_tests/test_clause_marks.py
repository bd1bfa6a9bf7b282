"""The plugin of this project's own tests: clause marks that mean something."""

import subprocess
import sys
from pathlib import Path

import pytest

from sagemaker_bidi.contract.ledger import ledger
from tests.clause_marks import without_test


def run(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "tests").mkdir()
    (folder / "tests" / "test_it.py").write_text(f"import pytest\n\n{test}\n", "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n", "utf-8")
    # The inner run is its own: no plugin, option or coverage of the outer one.
    command = [sys.executable, "-m", "pytest", "-p", "tests.clause_marks"]
    command += ["-p", "no:cacheprovider", *options]
    root = Path(__file__).parents[2]
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def marked(*ids: str) -> str:
    marks = ", ".join(repr(clause_id) for clause_id in ids)
    return f"@pytest.mark.clause({marks})\ndef test_one():\n    pass"


def test_an_unknown_clause_stops_the_run_and_is_named_with_its_test(tmp_path: Path) -> None:
    done = run(tmp_path, marked("F99"), "tests/test_it.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_it.py::test_one: no clause has the id 'F99'; there are F1, F2" in done.stderr


def test_a_mark_without_a_clause_stops_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, marked(), "tests/test_it.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "a clause mark names no clause" in done.stderr


def test_one_file_may_leave_clauses_without_a_test(tmp_path: Path) -> None:
    assert run(tmp_path, marked("F3"), "tests/test_it.py").returncode == pytest.ExitCode.OK


@pytest.mark.parametrize("options", [(), ("tests",), ("tests/test_it.py", "--clauses-covered")])
def test_the_whole_tree_fails_for_a_clause_without_a_test_and_lists_it(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    ids = [clause.id for clause in ledger() if clause.tested and clause.id not in ("F4", "K2")]
    done = run(tmp_path, marked(*ids), *options)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "F4  Fragments, or one message (conflict)" in done.stdout
    assert "K2  Thirty minutes (documented)" in done.stdout
    assert f"2 of {len(ids) + 3}" in done.stdout


def test_the_whole_tree_passes_with_a_test_for_each_clause(tmp_path: Path) -> None:
    ids = [clause.id for clause in ledger() if clause.tested]
    assert run(tmp_path, marked(*ids)).returncode == pytest.ExitCode.OK


def test_a_clause_that_no_test_can_hold_is_not_asked_for() -> None:
    untested = [clause for clause in ledger() if not clause.tested]
    assert [clause.id for clause in untested] == ["P1"]
    assert "P1" not in {clause.id for clause in without_test(())}
