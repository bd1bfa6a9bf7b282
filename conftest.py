"""Plugins of the whole tree, which pytest takes only here, and what all tests start from."""

import signal

pytest_plugins = ["sagemaker_bidi.testing.containers.fixtures", "tests.clause_marks"]


def pytest_configure() -> None:
    """Hear Ctrl-C even where a shell started pytest in the background and had it ignored.

    What the tests start would inherit that, and could not be interrupted.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
