"""Recordings of what HAR 1.2 has of WebSockets, Chrome's and that of `har`."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from sagemaker_bidi.contract.endings import DEFAULT_CLOSE_RULES, NO_STATUS
from sagemaker_bidi.contract.opening import CONTAINER_PATH
from sagemaker_bidi.recordings.files import RecordingError
from sagemaker_bidi.recordings.format import (
    PROVENANCES,
    Control,
    End,
    Event,
    FrameEvent,
    Header,
    Opening,
    Origin,
    Sender,
    carried,
)
from sagemaker_bidi.recordings.har import BINARY, CLOSE, LATEST, TEXT, is_told, split_address
from sagemaker_bidi.recordings.redaction import hide_secrets, made_with

REFUSALS = range(400, 600)

_header: TypeAdapter[Header] = TypeAdapter(Header)


def from_har(
    path: Path, *, provenance: Origin | None = None, entry: int | None = None
) -> tuple[Header, tuple[Event, ...]]:
    """Read a WebSocket session out of a HAR file. Its HTTP headers are not taken over.

    Args:
        provenance: what answered; a HAR of `to_har` knows.
        entry: the number of the WebSocket session in the file, from 1, where it holds several.

    Raises:
        RecordingError: the file is no HAR, or holds no such session; says what is expected.
    """
    found = _websockets(path)
    if entry is None and len(found) > 1:
        raise RecordingError(
            f"{path}: holds {len(found)} WebSocket sessions; give --entry 1 to {len(found)}"
        )
    number = entry or 1
    if not 1 <= number <= len(found):
        raise RecordingError(
            f"{path}: holds {len(found)} WebSocket sessions (entries with _webSocketMessages); "
            f"there is no number {number}"
        )
    chosen = found[number - 1]
    where = f"{path}: WebSocket session {number}"
    header = _header_of(chosen, provenance, where)
    messages = chosen["_webSocketMessages"]
    if not messages:
        return header, _refused(chosen, where)
    taken = []
    for index, message in enumerate(messages, 1):
        place = f"{where}: message {index}"
        taken.append((_time_of(message, place), message, place))
    taken.sort(key=lambda each: each[0])
    start = taken[0][0]
    events = [
        event
        for time, message, place in taken
        if (event := _event(message, round((time - start) * 1000 * header.time_scale, 3), place))
    ]
    if not any(isinstance(event, FrameEvent) for event in events):
        raise RecordingError(f"{where}: holds no text and no binary message; nothing to play")
    return header, (*events, *_end(events))


def _websockets(path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_bytes())
        entries = document["log"]["entries"]
        return [entry for entry in entries if isinstance(entry.get("_webSocketMessages"), list)]
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordingError(
            f"{path}: is no HAR file; expected JSON with log.entries, as Chrome exports it"
        ) from error


def _header_of(entry: dict[str, Any], provenance: Origin | None, where: str) -> Header:
    if "_recording" in entry:
        try:
            header = _header.validate_python(entry["_recording"])
        except ValidationError as error:
            raise RecordingError(f"{where}: its _recording is no recording's header") from error
        return header if provenance is None else dataclasses.replace(header, provenance=provenance)
    if provenance is None:
        raise RecordingError(
            f"{where}: does not tell what answered; give --provenance, one of "
            f"{', '.join(map(repr, PROVENANCES))}"
        )
    request = _object(entry.get("request", {}), f"{where}: request")
    parts = split_address(
        _text(request.get("url", ""), f"{where}: request.url"), f"{where}: request.url"
    )
    host = parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query else ""
    shown, hidden = hide_secrets(f"{parts.path or CONTAINER_PATH}{query}")
    return Header(
        provenance=provenance,
        target=f"{parts.scheme}://{host}" if host else "",
        path=shown,
        recorded=_text(entry.get("startedDateTime", ""), f"{where}: startedDateTime"),
        redacted=("query",) if hidden else (),
        made_with=made_with(),
    )


def _refused(entry: dict[str, Any], where: str) -> tuple[Event, ...]:
    response = _object(entry.get("response", {}), f"{where}: response")
    status = response.get("status")
    if not isinstance(status, int) or status not in REFUSALS:
        raise RecordingError(f"{where}: holds no messages, so there is nothing to play")
    content = _object(response.get("content", {}), f"{where}: response.content")
    return (
        Opening(
            ms=0,
            sender="emulator",
            type=_text(response.get("statusText", ""), f"{where}: response.statusText")
            or "refused",
            status=status,
            text=_text(content.get("text", ""), f"{where}: response.content.text"),
        ),
        End(ms=0, sender="emulator", type="refused"),
    )


def _event(message: dict[str, Any], ms: float, where: str) -> Event | None:
    match message.get("type"):
        case "send":
            sender: Sender = "client"
        case "receive":
            sender = "container"
        case "error":
            return None
        case _:
            raise RecordingError(f"{where}: expected type send or receive")
    opcode = message.get("opcode")
    if opcode not in (TEXT, BINARY, CLOSE):
        return None
    data = _text(message.get("data"), f"{where}: data")
    if opcode == TEXT:
        return FrameEvent(ms=ms, sender=sender, type="TEXT", fin=True, text=data)
    if opcode == CLOSE:
        code, reason = _close_of(data)
        return Control(ms=ms, sender=sender, type="CLOSE", code=code, text=reason)
    try:
        payload = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise RecordingError(f"{where}: its data is no base64: {error}") from error
    return FrameEvent(
        ms=ms, sender=sender, type="BINARY", fin=True, **carried(payload, textual=False)
    )


def _close_of(data: str) -> tuple[int, str]:
    """Code and reason of a Close frame; 1005 where it does not tell."""
    try:
        payload = base64.b64decode(data, validate=True)
    except ValueError:
        payload = b""
    code = int.from_bytes(payload[:2])
    return (code, payload[2:].decode(errors="replace")) if is_told(code) else (NO_STATUS, "")


def _end(events: list[Event]) -> list[End]:
    """The end that the first Close frame was; without one, nobody knows how it ended."""
    for event in events:
        if isinstance(event, Control):
            clean = event.sender == "client" or event.code in DEFAULT_CLOSE_RULES
            kind: Literal["clean", "error"] = "clean" if clean else "error"
            return [End(ms=events[-1].ms, sender=event.sender, type=kind)]
    return []


def _time_of(message: object, where: str) -> float:
    time = _object(message, where).get("time")
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < LATEST:
        raise RecordingError(f"{where}: has no time; expected seconds since 1970")
    return time


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RecordingError(f"{where}: is no object; expected what Chrome exports")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise RecordingError(f"{where}: is no text; expected what Chrome exports")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RecordingError(
            f"{where}: character {error.start + 1} is half of a surrogate pair; expected Unicode"
        ) from error
    return value
