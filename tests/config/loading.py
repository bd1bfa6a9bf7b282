"""What the fixture `load` is."""

from __future__ import annotations

from collections.abc import Callable

from sagemaker_bidi.config import Config

type Load = Callable[[str], Config]
