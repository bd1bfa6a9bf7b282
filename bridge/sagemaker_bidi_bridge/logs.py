"""The bridge's log lines, as text or as JSON; each that a session causes has the session's id."""

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

from sagemaker_bidi_bridge.observe import Fields, key_values

SESSION_ID: ContextVar[str | None] = ContextVar("bridge_session_id", default=None)
"""The session that the running task works for; uvicorn's own lines are told by it, too."""

Format = Literal["text", "json"]


def configure(level: str, form: Format) -> None:
    """Write the log to standard error.

    Args:
        level: name of the least level that is written.
        form: `text` for people, `json` for one object a line.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler])


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s level=%(levelname)s logger=%(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        session = SESSION_ID.get()
        if session is None or "id" in _fields(record):
            return line
        return f"{line} {key_values(id=session)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            # What the fields say stands in them.
            "message": record.msg.removesuffix(" %s") if fields else record.getMessage(),
        }
        if (session := SESSION_ID.get()) is not None:
            line["id"] = session
        line |= fields
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    match record.args:
        case (Fields(values),):
            return values
        case _:
            return {}
