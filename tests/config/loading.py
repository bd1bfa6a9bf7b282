"""What the fixture `load` is."""

from __future__ import annotations

from collections.abc import Callable

from emulator.config import Config

type Load = Callable[[str], Config]
