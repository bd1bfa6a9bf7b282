"""What became of the messages that a socket was given: handed to the network, or lost."""

from __future__ import annotations

from typing import Final, Protocol

TOO_LATE = "came after the session had ended"


class Deliveries(Protocol):
    """Keeps the account of one way out."""

    def deliver(self, size: int) -> None:
        """A message of `size` payload bytes has been handed to the network."""

    def lose(self, size: int, why: str) -> None:
        """A message of `size` payload bytes will not arrive."""


class _Uncounted:
    def deliver(self, size: int) -> None:
        """Keep no account."""

    def lose(self, size: int, why: str) -> None:
        """Keep no account."""


UNCOUNTED: Final = _Uncounted()
