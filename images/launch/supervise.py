"""The first process of the image `voxtral`.

A script, so that its folder is on its own path and on no other process's: with `-m` the folder
would have to be the working directory, which vLLM's Python would take its packages from. It blocks
signals for the reason that `serve.py` gives.
"""

import signal
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

from bridge.supervise import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
