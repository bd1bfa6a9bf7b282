"""One of the processes of `bidi serve --workers`.

Standard input brings the configuration, a line of JSON, and ends when the parent does.
"""

from __future__ import annotations

import logging
import socket
import sys

from emulator.announce import log_to_stderr
from emulator.config import Config
from emulator.scenarios.apply import apply
from emulator.serve import run_here


def main() -> int:
    """Serve connections of the listening socket whose descriptor is the only argument."""
    log_to_stderr(logging.INFO)
    config = Config.model_validate_json(sys.stdin.readline())
    config, plans = apply(config, config.scenarios)
    listener = socket.socket(fileno=int(sys.argv[1]))
    return run_here(config, listener, plans=plans, quiet=True, lifeline=sys.stdin.fileno())


if __name__ == "__main__":
    sys.exit(main())
