"""The first process of the image `bridge`.

A script, so that it runs before the bridge's imports, which take their time: the first process gets
no signal for which it has no handler, but one that it has blocked waits for it.
"""

import signal
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

from bridge.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
