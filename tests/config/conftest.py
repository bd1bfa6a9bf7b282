"""A configuration file to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi.config import Config, load_config
from tests.config.loading import Load


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a file of this text, which messages call `bidi.toml`."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, **options: Any) -> Config:
        Path("bidi.toml").write_text(text, "utf-8")
        return load_config(Path("bidi.toml"), options)

    return load
