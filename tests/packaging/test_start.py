"""What starts quickly imports little; how quickly, benchmarks/start.py measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.conftest import Environment, Environments

# Not one of these may be imported before it is needed.
HEAVY = {
    "asyncio",
    "aws_sdk_sagemaker_runtime_http2",
    "cryptography",
    "fastapi",
    "h2",
    "hypercorn",
    "numpy",
    "pydantic",
    "starlette",
    "uvicorn",
    "websockets",
}
TELL = f"print(sorted(set({sorted(HEAVY)}) & set(sys.modules)))"


@pytest.fixture(scope="module")
def everything(environments: Environments) -> Environment:
    """All that could be imported is there."""
    return environments.make(
        "everything", "sagemaker-bidi[demo,containers]", "sagemaker-bidi-client[cli]",
        "sagemaker-bidi-bridge",
    )  # fmt: skip


def imported(environment: Environment, code: str, where: Path) -> str:
    done = environment.run("python", "-c", f"import sys\n{code}\n{TELL}", cwd=where)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "code",
    [
        "import sagemaker_bidi",
        "import sagemaker_bidi_client",
        "import sagemaker_bidi_contract, sagemaker_bidi_fixtures",
        "import sagemaker_bidi.commands.bidi",
    ],
)
def test_an_import_of_ours_imports_nothing_heavy(
    code: str, everything: Environment, tmp_path: Path
) -> None:
    assert imported(everything, code, tmp_path) == "[]"


def test_the_help_page_imports_nothing_heavy(everything: Environment, tmp_path: Path) -> None:
    code = """
from sagemaker_bidi.commands.bidi import app
try:
    app(["--help"])
except SystemExit as end:
    assert not end.code
"""
    assert imported(everything, code, tmp_path) == "[]"


def test_serve_imports_neither_sdk_nor_server_of_the_bridge(
    everything: Environment, tmp_path: Path
) -> None:
    found = imported(everything, "import sagemaker_bidi.commands.serve", tmp_path)

    for name in ("aws_sdk_sagemaker_runtime_http2", "fastapi", "numpy", "uvicorn"):
        assert name not in found


def test_a_run_of_pytest_that_uses_nothing_of_ours_imports_nothing_heavy(
    everything: Environment, tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text("def test(): pass\n")
    code = """
import pytest
before = set(sys.modules)
assert pytest.main(["-q", "--collect-only", "-p", "no:asyncio", "-p", "no:anyio"]) == 0
assert any(name.startswith("sagemaker_bidi") for name in sys.modules)
"""
    assert imported(everything, code, tmp_path) == "[]"
