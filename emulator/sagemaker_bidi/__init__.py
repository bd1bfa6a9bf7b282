"""An emulator of Amazon SageMaker AI's bidirectional streaming on this machine."""

from sagemaker_bidi.clock import Clock, ManualClock, RealClock, ScaledClock
from sagemaker_bidi.config import Config, ConfigError, load_config
from sagemaker_bidi.emulator import Emulator, PortTaken
from sagemaker_bidi.session.record import SessionRecord
from sagemaker_bidi.tap import Passage, Tap

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
