"""Where a GPU can be used on this machine, and what the deployable image tells vLLM."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
CDI_DEVICE = "nvidia.com/gpu=all"
AUDIO = ("librosa", "mistral_common.audio", "soundfile", "soxr")


def docker_gpus(info: str | None = None, folders: tuple[Path, ...] = CDI_FOLDERS) -> str | None:
    """What `bidi serve --gpus` is given here; None where Docker sees no GPU.

    Args:
        info: what `docker info` says as JSON; asked unless given.
        folders: where devices of the Container Device Interface are described.
    """
    said = _docker_info() if info is None else json.loads(info)
    if "nvidia" in said.get("Runtimes", {}):
        return "all"
    found = json.dumps(said.get("DiscoveredDevices") or [])
    # Before Docker 28 a daemon names the folders, and not what is in them.
    for folder in folders if said.get("CDISpecDirs") else ():
        for path in folder.glob("*.*") if folder.is_dir() else ():
            found += path.read_text("utf-8", "replace")
    return CDI_DEVICE if "nvidia.com/gpu" in found else None


def _docker_info() -> dict[str, Any]:
    command = ["docker", "info", "--format", "{{json .}}"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=30)
        said: dict[str, Any] = json.loads(asked.stdout) if asked.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    return said


def machine_has_a_gpu() -> bool:
    """Whether the driver names a GPU."""
    try:
        asked = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.stdout.startswith(b"GPU")


def why_no_vllm(program: str | None = None) -> str | None:
    """Why vLLM cannot be run as a process here; None where it can.

    Args:
        program: the command `vllm`; the one on PATH unless given.
    """
    program = program or shutil.which("vllm")
    if program is None:
        return "no `vllm` on PATH: install vLLM for this GPU"
    first = Path(program).read_bytes().partition(b"\n")[0].decode(errors="replace")
    python = first.removeprefix("#!").strip().split()
    missing = [name for name in AUDIO if not _imports([*python, "-c", f"import {name}"])]
    if not missing:
        return None
    requirements = (ROOT / "images" / "vllm-audio.txt").read_text().split()
    return (
        f"{program} cannot import {', '.join(missing)}: install {' '.join(requirements)} beside it"
    )


def _imports(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def image_environment(dockerfile: str | None = None) -> dict[str, str]:
    """The variables that the target `voxtral` sets, by the Dockerfile."""
    text = dockerfile or (ROOT / "Dockerfile").read_text("utf-8")
    stage = text[text.index(" AS voxtral") :]
    block = re.search(r"^ENV ((?:.*\\\n)*.*)", stage, re.MULTILINE)
    assert block is not None
    found = re.findall(r"(\w+)=('[^']*'|\S+)", block[1].replace("\\\n", " "))
    return {name: value.strip("'") for name, value in found}
