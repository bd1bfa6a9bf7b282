"""What the images start: a signal that comes before it can be acted on is not lost."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_SECONDS = 60  # a bound for tests that would otherwise hang, never a wait
ROOT = Path(__file__).parents[2]

AS_THE_IMAGES_DO = ("env", "--block-signal=TERM,INT")

# Runs a module or a script that gets SIGTERM when it begins to import the bridge.
_EARLY = """
import runpy, signal, sys

class Early:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "sagemaker_bidi_bridge":
            signal.raise_signal(signal.SIGTERM)

sys.meta_path.insert(0, Early)
run = runpy.run_path if sys.argv[1].endswith(".py") else runpy.run_module
run(sys.argv.pop(1), run_name="__main__")
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


# Not process 1, so SIGTERM would end it here, and not be lost.
@pytest.mark.clause("K4")
@pytest.mark.parametrize(
    ("program", "codes", "said"),
    [
        ("sagemaker_bidi_bridge", {0}, "logger=bridge.server stopped"),
        # The bridge may have had no time to hear it.
        (str(ROOT / "images/launch/supervise.py"), {0, 143}, 'why="told to stop"'),
    ],
)
def test_sigterm_during_the_imports_stops_it_in_order(
    program: str, codes: set[int], said: str, environment: dict[str, str]
) -> None:
    ended = subprocess.run(
        [*AS_THE_IMAGES_DO, sys.executable, "-c", _EARLY, program, "serve"],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LIMIT_SECONDS,
    )
    assert ended.returncode in codes, ended.stderr
    assert said in ended.stderr


def test_both_images_start_so() -> None:
    entrypoints = re.findall(r"^ENTRYPOINT (.*bridge.*)$", (ROOT / "Dockerfile").read_text(), re.M)
    assert len(entrypoints) == 2
    assert all(tuple(json.loads(each)[:2]) == AS_THE_IMAGES_DO for each in entrypoints)
