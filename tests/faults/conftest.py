"""Each test of the taps gives back every task and socket, too."""

from __future__ import annotations

from tests.transport.conftest import nothing_left

__all__ = ["nothing_left"]
