"""An emulator of Amazon SageMaker AI's bidirectional streaming on this machine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagemaker_bidi.clock import Clock, ManualClock, RealClock, ScaledClock
    from sagemaker_bidi.config import Config, ConfigError, load_config
    from sagemaker_bidi.emulator import Emulator, PortTaken
    from sagemaker_bidi.environment import Environment
    from sagemaker_bidi.session.record import SessionRecord
    from sagemaker_bidi.tap import Passage, Tap

__all__ = [
    "Clock",
    "Config",
    "ConfigError",
    "Emulator",
    "Environment",
    "ManualClock",
    "Passage",
    "PortTaken",
    "RealClock",
    "ScaledClock",
    "SessionRecord",
    "Tap",
    "load_config",
]

# Imported when they are first asked for (PEP 562): pytest loads the plugin in projects that never
# use it, and `bidi --help` needs none of this.
_HOMES = {
    "clock": ("Clock", "ManualClock", "RealClock", "ScaledClock"),
    "config": ("Config", "ConfigError", "load_config"),
    "emulator": ("Emulator", "PortTaken"),
    "environment": ("Environment",),
    "session.record": ("SessionRecord",),
    "tap": ("Passage", "Tap"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
