"""The first process of the image `voxtral`.

A script, so that its folder is on its own path and on no other process's: with `-m` the folder
would have to be the working directory, which vLLM's Python would take its packages from.
"""

import sys

from sagemaker_bidi_bridge.supervise import main

if __name__ == "__main__":
    sys.exit(main())
