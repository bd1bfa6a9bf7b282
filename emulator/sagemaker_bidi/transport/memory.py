"""Memory that many connections took, given back to the system when they are gone.

The C library keeps what it was given in pieces between those in use: after 2,000 TLS connections
some 340 MiB that nobody uses. It gives them back when it is asked.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

MANY = 100  # connections, from which on it is worth the few milliseconds that it takes


def _trim() -> Callable[[], None]:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # Only the GNU C library has it.
        return lambda: None
    return lambda: trim(0)


class Tide:
    """Counts connections, and gives memory back when most of many are gone.

    Args:
        give_back: what is done then.
    """

    def __init__(self, give_back: Callable[[], None] | None = None) -> None:
        self._give_back = give_back or _trim()
        self._high = 0

    def now(self, open_: int) -> None:
        """So many connections are open."""
        self._high = max(self._high, open_)
        if self._high >= MANY and open_ <= self._high // 8:
            self._high = open_
            self._give_back()
