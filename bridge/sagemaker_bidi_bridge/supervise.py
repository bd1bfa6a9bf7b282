"""The container's first process, over vLLM and the bridge.

Run it as `python -m sagemaker_bidi_bridge.supervise serve`.

Standard library only, and no event loop: it must go on when nothing else does.
"""

import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sagemaker_bidi_bridge.engine_options import api_key, engine_command, sessions_at_once
from sagemaker_bidi_bridge.logs import configure
from sagemaker_bidi_bridge.observe import key_values
from sagemaker_bidi_bridge.settings import SettingsError
from sagemaker_bidi_bridge.supervision import (
    Action,
    Answered,
    Ask,
    Ended,
    Finish,
    Limits,
    Name,
    Silent,
    Supervision,
    Tell,
    Told,
)

_WRONG_SETTING = 2
_CANNOT_RUN = 127
_BURY_SECONDS = 0.5  # what left its session is not ours to wait for
_ASK_SECONDS = 5.0
_PR_SET_CHILD_SUBREAPER = 36
_OURS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)

logger = logging.getLogger("bridge.supervise")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run vLLM on 8081 and the bridge on 8080 until one of them ends, or SIGTERM comes.

    Args:
        arguments: the command line without the program; SageMaker gives `serve`.

    Returns:
        The exit code: that of the process that ended first, 2 for a setting that cannot be used,
        127 where vLLM is not installed.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given not in ([], ["serve"]):
        print(f"supervise: expected `serve` or nothing, received {given}", file=sys.stderr)
        return _WRONG_SETTING
    if not hasattr(signal, "sigtimedwait"):
        print(
            "supervise: runs in the image, on Linux: this system cannot wait for a signal and a "
            "time at once. The bridge alone runs here: python -m sagemaker_bidi_bridge",
            file=sys.stderr,
        )
        return _CANNOT_RUN
    # A wrong value is the bridge's to name.
    as_json = os.environ.get("BRIDGE_LOG_FORMAT", "").lower() == "json"
    configure("info", "json" if as_json else "text")
    try:
        vllm = engine_command(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            logger.error("%s", problem)
        return _WRONG_SETTING
    bridge = (sys.executable, "-m", "sagemaker_bidi_bridge", "serve")
    try:
        return supervise({"vllm": vllm, "bridge": bridge}, Supervision(Limits(ask=_ASK_SECONDS)))
    except FileNotFoundError as error:
        logger.error("there is no %s on PATH: the image has no vLLM", error.filename)
        return _CANNOT_RUN


def supervise(commands: Mapping[Name, tuple[str, ...]], stop: Supervision | None = None) -> int:
    """Run both commands, each in a session of its own, and leave none of their processes behind.

    Args:
        commands: `vllm` and `bridge`, each a program and its arguments.
        stop: the rules; those of SageMaker unless given.

    Returns:
        The code for the container.

    Raises:
        FileNotFoundError: a program is not there; nothing is left running.
    """
    rules = stop or Supervision()
    _adopt_orphans()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
    family: dict[int, Name] = {}
    try:
        for name, command in commands.items():
            pid = _start(name, command)
            family[pid] = name
            logger.info("started %s", key_values(process=name, pid=pid))
        return _watch(rules, family)
    finally:
        _kill(family)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(rules: Supervision, family: Mapping[int, Name]) -> int:
    while True:
        actions: list[Action] = []
        match _wait(rules.deadline):
            case None:
                actions = rules.receive_time(time.monotonic())
            case signal.SIGCHLD:
                for ended in _reap(family):
                    logger.info("ended %s", key_values(process=ended.name, code=ended.code))
                    actions += rules.receive(ended, time.monotonic())
            case number:
                logger.info("told to stop %s", key_values(signal=signal.Signals(number).name))
                actions = rules.receive(Told(), time.monotonic())
        for action in actions:
            match action:
                case Ask(seconds):
                    # Blocks for as long as a bridge that hangs is asked, and no longer.
                    if (answer := _ask(os.environ, seconds)) is not None:
                        actions.extend(rules.receive(answer, time.monotonic()))
                case Tell(name, number):
                    if number is signal.SIGKILL:
                        logger.error("killing %s", key_values(process=name, why=rules.why))
                    _tell(family, name, number)
                case Finish(code, why):
                    logger.info("finished %s", key_values(code=code, why=why))
                    return code


def _wait(deadline: float | None) -> int | None:
    """The next signal, or None when the deadline has come first."""
    if deadline is None:
        return signal.sigwait(_OURS)
    found = signal.sigtimedwait(_OURS, max(0.0, deadline - time.monotonic()))
    return None if found is None else found.si_signo


def _ask(environ: Mapping[str, str], seconds: float) -> Answered | Silent | None:
    """Ask the bridge for its version: vLLM has no part in the answer.

    Returns:
        None where nothing listens yet, or any more: that is a start or an end, and no hang.
    """
    port = environ.get("BRIDGE_PORT", "8080")
    if not port.isascii() or not port.isdecimal() or not int(port):
        return None  # wrong, which the bridge says itself; or a free one, which is not known here
    host = environ.get("BRIDGE_HOST", "0.0.0.0")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        with socket.create_connection((host, int(port)), seconds) as asked:
            asked.sendall(b"GET /version HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n")
            return Answered() if asked.recv(1) else None
    except TimeoutError:
        return Silent()
    except OSError:
        return None


def _start(name: Name, command: tuple[str, ...]) -> int:
    environ = dict(os.environ)
    if name == "bridge":
        # Only for the bridge: vLLM must not find the bridge's packages before its own.
        packages = str(Path(__file__).resolve().parents[1])
        inherited = environ.get("PYTHONPATH")
        environ["PYTHONPATH"] = f"{packages}:{inherited}" if inherited else packages
        if (sessions := sessions_at_once(environ)) is not None:
            environ.setdefault("BRIDGE_MAX_SESSIONS", str(sessions))
        if (key := api_key(environ)) is not None:
            environ.setdefault("BRIDGE_BACKEND_API_KEY", key)
    return os.posix_spawnp(command[0], command, environ, setsid=True, setsigmask=())


def _reap(family: Mapping[int, Name]) -> list[Ended]:
    """Collect everything that has ended; orphans, which come to the first process, too."""
    ended = []
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = found
            if (name := family.get(pid)) is not None:
                code = os.waitstatus_to_exitcode(status)
                ended.append(Ended(name, 128 - code if code < 0 else code))
    return ended


def _tell(family: Mapping[int, Name], name: Name, number: signal.Signals) -> None:
    for pid, known in family.items():
        if known == name:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _kill(family: Mapping[int, Name]) -> None:
    """End both sessions with all that vLLM has started in its own."""
    for pid in family:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    deadline = time.monotonic() + _BURY_SECONDS
    with suppress(ChildProcessError):
        while (left := deadline - time.monotonic()) > 0:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                signal.sigtimedwait([signal.SIGCHLD], left)


def _adopt_orphans() -> None:
    """Be told of grandchildren outside a container as well, where we are not process 1."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
