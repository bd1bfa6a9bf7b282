"""How long recordings stay."""

from __future__ import annotations

import re
from pathlib import Path

from sagemaker_bidi.shown import logger_named

logger = logger_named("bidi.recorder")

DAY = 24 * 60 * 60
CHECK_SECONDS = 60.0

# As the recorder names them: what somebody put beside them, or gave another name, stays.
_RECORDED = re.compile(r".+-\d{8}T\d+Z-[0-9a-f]{8}\.jsonl(?:\.partial)?")


class Retention:
    """Removes the recordings of a folder that are older than they may be.

    Args:
        folder: those directly in it.
        days: from a recording's last byte on.
    """

    def __init__(self, folder: Path, days: float) -> None:
        self._folder = folder
        self._days = days
        self._checked = float("-inf")

    def apply(self, now: float) -> None:
        """Remove what is too old; looks once a minute at most.

        Args:
            now: seconds since 1970.
        """
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        removed = 0
        try:
            for path in self._folder.iterdir():
                old = _RECORDED.fullmatch(path.name) and path.is_file() and not path.is_symlink()
                if old and now - path.stat().st_mtime > self._days * DAY:
                    path.unlink()
                    removed += 1
        except OSError as error:
            logger.warning("%s: old recordings stay: %s", error.filename, error.strerror)
        if removed:
            logger.info("removed: %d recordings older than %g days", removed, self._days)
