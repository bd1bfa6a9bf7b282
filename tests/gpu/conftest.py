"""What needs a GPU is marked `gpu`, and skips with the reason where there is none."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: needs a GPU and real weights")
