"""An emulator of Amazon SageMaker AI's bidirectional streaming on this machine."""

from emulator.clock import Clock, ManualClock, RealClock, ScaledClock
from emulator.config import Config, ConfigError, load_config
from emulator.emulator import Emulator, PortTaken
from emulator.taps.tap import Passage, Tap
from emulator.transport.record import SessionRecord

__all__ = [
    "Clock",
    "Config",
    "ConfigError",
    "Emulator",
    "ManualClock",
    "Passage",
    "PortTaken",
    "RealClock",
    "ScaledClock",
    "SessionRecord",
    "Tap",
    "load_config",
]
