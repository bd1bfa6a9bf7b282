"""`python -m sagemaker_bidi_bridge`: the container's server, configured by `BRIDGE_` variables."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from sagemaker_bidi_bridge.logs import configure
from sagemaker_bidi_bridge.server import CannotListen, run
from sagemaker_bidi_bridge.settings import SettingsError, describe_variables, read_settings

_WRONG_SETTING = 2
_CANNOT_LISTEN = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bridge.

    Args:
        arguments: the command line without the program; `sys.argv` by default.

    Returns:
        The exit code: 0 stopped, 1 the port is taken, 2 a variable holds a wrong value.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sagemaker_bidi_bridge",
        description="Forwards SageMaker's bidirectional stream to vLLM's realtime endpoint.",
        epilog="environment variables:\n" + describe_variables(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "serve", nargs="?", choices=["serve"], help="the word that SageMaker starts images with"
    )
    parser.parse_args(arguments)
    try:
        settings, warnings = read_settings(os.environ)
    except SettingsError as error:
        for problem in error.problems + error.warnings:
            print(f"bridge: {problem}", file=sys.stderr)
        return _WRONG_SETTING
    configure(settings.log_level, settings.log_format)
    logger = logging.getLogger("bridge")
    for warning in warnings:
        logger.warning("%s", warning)
    try:
        return run(settings)
    except CannotListen as error:
        logger.error("%s", error)
        return _CANNOT_LISTEN


if __name__ == "__main__":
    sys.exit(main())
