"""One of the processes of `bidi serve --workers`.

Standard input brings the configuration, a line of JSON, then each signal that the parent was sent,
a byte; and it ends when the parent does. Signals of its own a worker does not hear: its parent
blocks them, so that one to the whole group does not come twice.
"""

from __future__ import annotations

import io
import logging
import socket
import sys

from sagemaker_bidi.config import Config
from sagemaker_bidi.scenarios.apply import apply
from sagemaker_bidi.serving.announce import log_to_stderr
from sagemaker_bidi.serving.serve import run_here


def main() -> int:
    """Serve connections of the listening socket whose descriptor is the only argument."""
    log_to_stderr(logging.INFO)
    # Unbuffered: what follows the line is not for this.
    orders = io.FileIO(sys.stdin.fileno(), closefd=False)
    config = Config.model_validate_json(orders.readline())
    config, plans = apply(config, config.scenarios)
    listener = socket.socket(fileno=int(sys.argv[1]))
    return run_here(config, listener, plans=plans, quiet=True, orders=orders.fileno())


if __name__ == "__main__":
    sys.exit(main())
