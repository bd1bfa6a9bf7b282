"""An environment for each release of the SDK: made once, used again, never half made."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
HOME = ROOT / ".sdk"
RELEASES = ("0.4.0", "0.6.0", "0.9.0", "newest")

_STAMP = "pins.sha256"


class EnvironmentFailed(Exception):
    """pip could not make an environment; the message ends with what pip said."""


def requirements(release: str) -> Path:
    """Name the file of exact pins for a release; raises ValueError for one that has none."""
    path = HERE / f"requirements-{release}.txt"
    if not path.is_file():
        raise ValueError(f"no pins for SDK {release!r}; there are: {', '.join(RELEASES)}")
    return path


def python_with(release: str, *, home: Path = HOME) -> Path:
    """Give the interpreter of an environment that holds one release of the SDK.

    The environment is `.sdk/RELEASE-pyX.Y` for the Python that runs this. It is made where it is
    missing or its pins have changed: in a folder beside it, which takes its name when it is
    complete. Runs at the same time make it once.

    Raises EnvironmentFailed where pip fails.
    """
    pins = requirements(release)
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    name = f"{release}-py{sys.version_info.major}.{sys.version_info.minor}"
    place = home / name
    home.mkdir(exist_ok=True)
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current(place, wanted):
            _make(place, pins, wanted)
    return place / "bin" / "python"


def packages_of(python: Path) -> Path:
    """Where an environment keeps its packages: for a path that another interpreter has too."""
    (found,) = python.parent.parent.glob("lib/python3.*/site-packages")
    return found


def _is_current(place: Path, wanted: str) -> bool:
    stamp = place / _STAMP
    # The interpreter too: it is a link, which dangles when the Python that made it is gone.
    return stamp.is_file() and stamp.read_text() == wanted and (place / "bin/python").exists()


def _make(place: Path, pins: Path, stamp: str) -> None:
    making = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
    try:
        _run([sys.executable, "-m", "venv", str(making)], f"make {place}")
        python = str(making / "bin" / "python")
        _run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--no-deps",
                "--disable-pip-version-check",
                "-r",
                pins,
            ],
            f"install {pins.name} into {place}",
        )
        (making / _STAMP).write_text(stamp)
        shutil.rmtree(place, ignore_errors=True)
        # Nothing here is started through a script with the old path in it, only through python.
        making.rename(place)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _run(command: list[str | Path], what: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise EnvironmentFailed(
            f"could not {what}: it needs the package index (pip's settings hold) and disk space. "
            f"It said:\n{said}"
        )
