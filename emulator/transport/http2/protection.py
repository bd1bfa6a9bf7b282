"""How much of what costs a server more than its client is taken from a connection.

Each limit is a bucket that refills with time: a burst is fine, a flood is not. Driven by `now`.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.transport.http2.settings import Http2Settings


class Flood(Exception):
    """A client went over a limit; says which, and its setting."""


@dataclass(slots=True)
class _Bucket:
    what: str
    setting: str
    rate: float
    burst: float
    left: float
    at: float

    def take(self, now: float) -> None:
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            raise Flood(
                f"more than {self.rate:g} {self.what} a second over a burst of {self.burst:g} "
                f"(http2.{self.setting})"
            )
        self.left -= 1


class Protection:
    """The limits of one connection.

    Args:
        settings: rates and bursts.
        now: when the connection began, in seconds.
    """

    def __init__(self, settings: Http2Settings, now: float) -> None:
        def bucket(what: str, setting: str, rate: float) -> _Bucket:
            burst = rate * settings.burst_seconds
            return _Bucket(what, setting, rate, burst, burst, now)

        self._resets = bucket(
            "resets of young streams", "resets_per_second", settings.resets_per_second
        )
        self._control = bucket(
            "control frames", "control_frames_per_second", settings.control_frames_per_second
        )
        self._empty = bucket(
            "empty DATA frames", "empty_frames_per_second", settings.empty_frames_per_second
        )

    def receive_reset(self, now: float) -> None:
        """A client reset a stream before its response ended (rapid reset, CVE-2023-44487).

        Raises:
            Flood: too many.
        """
        self._resets.take(now)

    def receive_control(self, now: float) -> None:
        """A SETTINGS, PING or PRIORITY frame arrived; each may cost an answer.

        Raises:
            Flood: too many.
        """
        self._control.take(now)

    def receive_empty_data(self, now: float) -> None:
        """A DATA frame arrived that carries nothing and ends nothing.

        Raises:
            Flood: too many.
        """
        self._empty.take(now)
