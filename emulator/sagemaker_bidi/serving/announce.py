"""What `bidi serve` tells: where it listens, what it assumes, what a client must set."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TextIO
from urllib.parse import urlsplit

from sagemaker_bidi.config import DEFAULT_PORT, Config
from sagemaker_bidi.contract.settings import assumptions
from sagemaker_bidi.emulator import Emulator
from sagemaker_bidi.faults.plan import Plan
from sagemaker_bidi.serving.shells import Format, rendered


def announce(
    emulator: Emulator, config: Config, plans: Sequence[Plan] = (), control: str | None = None
) -> None:
    """Print it to standard output: comments, and lines that a shell takes.

    Args:
        plans: fault plans in force.
        control: URL of the control API, where it is served.
    """
    _say(f"listening on {emulator.url}")
    for name, described in config.endpoints.items():
        where = described.url or ", ".join(variant.url for variant in described.variants)
        _say(f"endpoint {name} -> {where}")
        for asked, answer in emulator.not_in_service(name):
            _say(f"  not in service: {asked} {answer}; until it answers 200, clients get HTTP 400")
    for plan in plans:
        _say(f"fault plan in force: {plan.name}")
    if config.record is not None:
        _say(f"recording to {config.record.directory}")
    if control is not None:
        _say(f"fault plans and sessions at {control}: bidi faults --help")
    count = len(assumptions(config.contract_settings()))
    _say(f"{count} assumptions about what AWS has not published: bidi assumptions lists them")
    port = urlsplit(emulator.url).port
    option = "" if port == DEFAULT_PORT else f" --port {port}"
    _say(f'set this for a client, or run eval "$(bidi trust{option})":')
    print(rendered(emulator.environment(), Format.SH))
    sys.stdout.flush()


def _say(text: str) -> None:
    print(f"# {text}")


class _ToStandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the time: it may be replaced while the process runs."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def log_to_stderr(level: int) -> None:
    """Send the emulator's and the bridge's log to standard error."""
    handler = _ToStandardError(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    for name in ("bidi", "bridge"):
        named = logging.getLogger(name)
        named.handlers = [each for each in named.handlers if type(each) is not _ToStandardError]
        named.addHandler(handler)
        named.setLevel(level)
