"""How often something may happen, driven by `now`: a burst is fine, a flood is not."""

from __future__ import annotations


class Bucket:
    """Starts full and refills with time.

    Args:
        rate: how many a second, finite.
        burst: how many at once.
        now: when it starts, in seconds.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._left = burst
        self._at = now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take one, or `amount`; False where there is not as much."""
        self._left = max(self._left, min(self.burst, self._left + self._come(now)))
        if self._left < amount:
            return False
        self._left -= amount
        return True

    def give(self, amount: float) -> None:
        """Put back so much, up to a burst."""
        self._left = max(self._left, min(self.burst, self._left + amount))

    def save(self, now: float) -> None:
        """Keep what has come since it was last asked, also where that is more than a burst."""
        self._left += self._come(now)

    def _come(self, now: float) -> float:
        come = (now - self._at) * self.rate
        self._at = now
        return come
