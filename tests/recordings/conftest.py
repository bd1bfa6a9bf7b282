"""Credentials and trust for the SDK, where a test plays to an endpoint."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sagemaker_bidi import Emulator

type Trust = Callable[[Emulator], None]


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Trust:
    """Make this process's SDK trust an emulator, and sign with its test credentials."""

    def give(emulator: Emulator) -> None:
        for name, value in emulator.trust().items():
            monkeypatch.setenv(name, value)

    return give
