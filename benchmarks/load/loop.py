"""The event loop of load generators and containers: uvloop where it is installed."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any

NAME = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"


def run[T](main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if NAME == "uvloop":
        factory = importlib.import_module(NAME).new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
