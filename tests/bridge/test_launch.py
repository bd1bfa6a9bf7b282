"""The first processes of the images: a signal that comes before they can act on it is not lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_SECONDS = 60  # a bound for tests that would otherwise hang, never a wait
LAUNCH = Path(__file__).parents[2] / "images/launch"

# Runs a script that gets SIGTERM when it begins to import the bridge.
_EARLY = """
import runpy, signal, sys

class Early:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "bridge":
            signal.raise_signal(signal.SIGTERM)

sys.meta_path.insert(0, Early)
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A free port, and a vLLM that only waits."""
    program = tmp_path / "vllm"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    return {
        **{name: value for name, value in os.environ.items() if "BRIDGE_" not in name},
        "BRIDGE_HOST": "127.0.0.1",
        "BRIDGE_PORT": "0",
        "SM_VLLM_MODEL": "tiny",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }


# As process 1 it would get no signal that would end it here.
@pytest.mark.clause("K4")
@pytest.mark.parametrize(
    ("script", "codes", "said"),
    [
        ("serve.py", {0}, "logger=bridge.server stopped"),
        # The bridge may have had no time to hear it.
        ("supervise.py", {0, 143}, 'why="told to stop"'),
    ],
)
def test_sigterm_during_the_imports_stops_it_in_order(
    script: str, codes: set[int], said: str, environment: dict[str, str]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _EARLY, str(LAUNCH / script), "serve"],
        env=environment,
        capture_output=True,
        text=True,
        cwd=LAUNCH.parents[1],
        timeout=LIMIT_SECONDS,
    )
    assert ended.returncode in codes, ended.stderr
    assert said in ended.stderr
