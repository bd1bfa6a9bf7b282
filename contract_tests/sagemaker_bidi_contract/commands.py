"""The command that would make what a run could not: that of the run, and the options it lacked."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from sagemaker_bidi_contract.options import BackendAddress, Options

FLAGS: Mapping[str, str] = {
    "strict": "--strict",
    "clauses": "--clause",
    "checks": "--check",
    "timeout": "--timeout",
    "slow": "--slow",
    "path": "--path",
    "message": "--message",
    "pid": "--pid",
    "model_protocol": "--model-protocol",
    "model": "--model",
    "audio": "--audio",
    "fake_backend": "--fake-backend",
    "backend_down": "--backend-down-cmd",
    "backend_up": "--backend-up-cmd",
    "endpoint_name": "--endpoint-name",
    "region": "--region",
    "ca": "--ca",
    "behind": "--behind",
    "allow_cost": "--allow-cost",
    "time_scale": "--time-scale",
    "model_folder": "--model-folder",
    "environment": "--env",
    "gpus": "--gpus",
    "variants": "--variant",
    "recordings": "--recordings",
    "container": "--container",
    "compare": "--compare",
    "ignore": "--ignore",
    "speed": "--speed",
}
"""Each field of `Options` and its option; `--env` is named without what may be a secret."""

_GIVES: Mapping[str, tuple[str, ...]] = {
    "slow": ("--slow",),
    "fake-backend": ("--fake-backend", "8081"),
    "backend-commands": ("--backend-down-cmd", "STOP", "--backend-up-cmd", "START"),
    "vllm-realtime": ("--model-protocol", "vllm-realtime"),
    "variants": ("--variant", "NAME=WEIGHT"),
    "allow-cost": ("--allow-cost",),
    "time": ("--time-scale", "X"),
    "pid": ("--pid", "PID"),
}
"""What gives a stage what it lacks; capitals stand for what only the user knows."""

_BEHIND = ("obeying", "echo", "closing", "never-pong", "refusing")


def commands_for(url: str, options: Options, needs: Set[str]) -> tuple[str, ...]:
    """The commands that make what was skipped; more than one where one excludes another.

    Args:
        url: the run's target.
        options: the run's.
        needs: what the stage lacked, of all skipped checks.
    """
    given = [need for need in _GIVES if need in needs]
    behind = [kind for kind in _BEHIND if kind in needs]
    if "obeying" in behind and "echo" in behind:
        behind.remove("echo")  # an obeying container makes the echo's checks as well
    if url.startswith("ws"):
        behind = []  # a container either echoes or does not
    first = [word for need in given for word in _GIVES[need]]
    if {"fake-backend", "vllm-realtime"} <= set(given) or (
        options.fake_backend is not None and "vllm-realtime" in given
    ):
        # The suite stands in the model server's place, or the model server does.
        alone = list(_GIVES["vllm-realtime"])
        first = [word for need in given if need != "vllm-realtime" for word in _GIVES[need]]
        runs = [alone, *([first] if first else [])]
    else:
        runs = [first] if first and not behind else []
    runs += [["--behind", kind, *first] for kind in behind]
    return tuple(_line(url, options, run) for run in runs)


def _line(url: str, options: Options, more: list[str]) -> str:
    dropped = {"--fake-backend"} if "vllm-realtime" in more else set()
    words = [
        word
        for flag, *values in _given(options)
        if flag not in more and flag not in dropped
        for word in (flag, *values)
    ]
    return shlex.join(["bidi", "check", url, *words, *more])


def _given(options: Options) -> Iterator[tuple[str, ...]]:
    """The options that are not as they are by default."""
    default = Options()
    for field, flag in FLAGS.items():
        value = getattr(options, field)
        if value == getattr(default, field):
            continue
        match value:
            case True:
                yield (flag,)
            case tuple():
                yield from ((flag, str(each)) for each in value)
            case Mapping() if flag == "--env":
                yield from ((flag, name) for name in value)
            case Mapping():
                yield from ((flag, f"{name}={each:g}") for name, each in value.items())
            case BackendAddress(host=host, port=port):
                yield flag, f"{host}:{port}"
            case float():
                yield flag, f"{value:g}"
            case str() | int() | Path():
                yield flag, str(value)
