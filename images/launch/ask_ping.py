"""The health check of the images; a script for the reason that `supervise.py` gives."""

import sys

from sagemaker_bidi_bridge.ask_ping import main

if __name__ == "__main__":
    sys.exit(main())
