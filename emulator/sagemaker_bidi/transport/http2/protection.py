"""How much of what costs a server more than its client is taken from a connection.

Each limit is a bucket that refills with time: a burst is fine, a flood is not. Driven by `now`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sagemaker_bidi.contract.rate import Bucket
from sagemaker_bidi.transport.http2.settings import Http2Settings

SMALL = 64  # bytes of DATA; the least that an event-stream chunk takes is more than twice that
ALLOWED_FOR_EACH = 4  # WINDOW_UPDATE: awscrt sends two for a DATA frame


class Flood(Exception):
    """A client went over a limit; says which, and its setting."""


@dataclass(frozen=True, slots=True)
class _Limit:
    what: str
    setting: str
    bucket: Bucket

    def take(self, now: float, amount: float = 1.0) -> None:
        if not self.bucket.take(now, amount):
            raise Flood(
                f"more than {self.bucket.rate:g} {self.what} a second over a burst of "
                f"{self.bucket.burst:g} (http2.{self.setting})"
            )


class Protection:
    """The limits of one connection.

    Args:
        settings: rates and bursts.
        now: when the connection began, in seconds.
    """

    def __init__(self, settings: Http2Settings, now: float) -> None:
        def limit(what: str, setting: str, rate: float) -> _Limit:
            return _Limit(what, setting, Bucket(rate, rate * settings.burst_seconds, now))

        self._unread = settings.unread_answers
        self._requests = limit("requests", "requests_per_second", settings.requests_per_second)
        self._resets = limit(
            "streams reset young or refused", "resets_per_second", settings.resets_per_second
        )
        self._control = limit(
            "control frames", "control_frames_per_second", settings.control_frames_per_second
        )
        self._empty = limit(
            "empty DATA frames", "empty_frames_per_second", settings.empty_frames_per_second
        )

        self._small = limit(
            f"DATA frames of less than {SMALL} bytes",
            "small_frames_per_second",
            settings.small_frames_per_second,
        )
        self._idle = limit(
            "WINDOW_UPDATE frames and frames on streams that are over",
            "idle_frames_per_second",
            settings.idle_frames_per_second,
        )
        self._allowed = 0

    def receive_request(self, now: float) -> None:
        """A stream was opened, whatever becomes of it.

        Raises:
            Flood: too many.
        """
        self._requests.take(now)
        self._allowed += ALLOWED_FOR_EACH

    def receive_reset(self, now: float) -> None:
        """A stream was reset before its response ended, or was one too many.

        By the client (rapid reset, CVE-2023-44487), or by us for what it sent (CVE-2025-8671).

        Raises:
            Flood: too many.
        """
        self._resets.take(now)

    def receive_control(self, now: float) -> None:
        """A SETTINGS, PING, PRIORITY, GOAWAY or unknown frame arrived; each may cost an answer.

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

    def receive_data(self, size: int, now: float) -> None:
        """A DATA frame arrived that carries so many bytes and does not end its stream.

        One by one, tiny frames cost far more than their bytes. A client that now and then sends
        the short end of a message after its bulk pays nothing.

        Raises:
            Flood: too many small ones.
        """
        if size < SMALL:
            self._small.take(now, 1 - size / SMALL)
        else:
            self._small.bucket.give(size / SMALL - 1)

    def sent_data(self, frames: int) -> None:
        """So many DATA frames were sent, which the client may answer with WINDOW_UPDATE."""
        self._allowed += ALLOWED_FOR_EACH * frames

    def receive_idle(self, now: float) -> None:
        """A WINDOW_UPDATE arrived, or a frame that changes nothing.

        Raises:
            Flood: more than there is any use for.
        """
        if self._allowed:
            self._allowed -= 1
        else:
            self._idle.take(now)

    def unread(self, size: int) -> None:
        """So many bytes of answers wait for a client that does not read them (CVE-2019-9512).

        Raises:
            Flood: too many.
        """
        if size > self._unread:
            raise Flood(
                f"more than {self._unread} bytes of answers that the client does not read "
                "(http2.unread_answers)"
            )
