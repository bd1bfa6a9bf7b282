"""Recordings to and from HAR 1.2, with Chrome's `_webSocketMessages`.

HAR knows whole messages only: fragments are joined, pings and pongs are left out.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from emulator.contract.opening import CONTAINER_PATH
from emulator.recordings.files import Recording, RecordingError
from emulator.recordings.format import (
    Control,
    End,
    Event,
    FrameEvent,
    Header,
    Provenance,
    Sender,
    carried,
)
from emulator.recordings.redaction import hide_secrets, made_with
from emulator.recordings.script import Assembly, Said, script_of

TEXT, BINARY, CLOSE = 1, 2, 8

_header: TypeAdapter[Header] = TypeAdapter(Header)


def to_har(recording: Recording) -> str:
    """A recording as a HAR file's text.

    Raises:
        RecordingError: payloads were left out, or a text message is no UTF-8, which HAR cannot say.
    """
    header = recording.header
    start = _epoch(header.recorded)
    script = script_of(recording)
    messages = [
        *_messages(recording.path, script.client, "send", start),
        *_messages(recording.path, script.container, "receive", start),
    ]
    messages.sort(key=lambda message: message["time"])
    total = recording.events[-1].ms if recording.events else 0.0
    address = urlsplit(header.target)
    url = f"{address.scheme or 'ws'}://{address.netloc or 'container'}{header.path}"
    document = {
        "log": {
            "version": "1.2",
            "creator": {"name": "sagemaker-bidi", "version": made_with().partition(" ")[2]},
            "entries": [
                {
                    "_resourceType": "websocket",
                    "startedDateTime": _iso(start),
                    "time": total,
                    "request": {
                        "method": "GET",
                        "url": url,
                        "httpVersion": "HTTP/1.1",
                        "headers": [],
                        "queryString": [],
                        "cookies": [],
                        "headersSize": -1,
                        "bodySize": -1,
                    },
                    "response": {
                        "status": 101,
                        "statusText": "Switching Protocols",
                        "httpVersion": "HTTP/1.1",
                        "headers": [],
                        "cookies": [],
                        "content": {"size": 0, "mimeType": "x-unknown"},
                        "redirectURL": "",
                        "headersSize": -1,
                        "bodySize": -1,
                    },
                    "cache": {},
                    "timings": {"send": 0, "wait": 0, "receive": total},
                    "_webSocketMessages": messages,
                    "_recording": json.loads(_header.dump_json(header)),
                }
            ],
        }
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def from_har(
    path: Path, *, provenance: Provenance | None = None, entry: int | None = None
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
        raise RecordingError(f"{where}: holds no messages, so there is nothing to play")
    times = [message.get("time") for message in messages]
    if not all(isinstance(time, int | float) for time in times):
        raise RecordingError(f"{where}: a message has no time; expected seconds since 1970")
    start = min(times)
    events: list[Event] = []
    for index, message in enumerate(messages, 1):
        ms = round((message["time"] - start) * 1000, 3)
        event = _event(message, ms, f"{where}: message {index}")
        if event is not None:
            events.append(event)
    if not events:
        raise RecordingError(f"{where}: holds no text and no binary message; nothing to play")
    by: Sender = "client"
    if isinstance(events[-1], Control):
        by = events[-1].sender
    events.append(End(ms=events[-1].ms, sender=by, type="clean"))
    return header, tuple(events)


def _messages(path: Path, said: tuple[Said, ...], kind: str, start: float) -> list[dict[str, Any]]:
    assembly = Assembly()
    messages = []
    for each in said:
        assembly.receive(each.frame)
        if not each.frame.fin:
            continue
        message = assembly.messages[-1]
        try:
            data = message.payload.decode() if message.text else None
        except UnicodeDecodeError as error:
            raise RecordingError(
                f"{path}: message {len(assembly.messages)} is text and no UTF-8, which HAR cannot "
                "hold"
            ) from error
        messages.append(
            {
                "type": kind,
                "time": start + each.seconds,
                "opcode": TEXT if message.text else BINARY,
                "data": base64.b64encode(message.payload).decode() if data is None else data,
            }
        )
    return messages


def _websockets(path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_bytes())
        entries = document["log"]["entries"]
        return [entry for entry in entries if isinstance(entry.get("_webSocketMessages"), list)]
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordingError(
            f"{path}: is no HAR file; expected JSON with log.entries, as Chrome exports it"
        ) from error


def _header_of(entry: dict[str, Any], provenance: Provenance | None, where: str) -> Header:
    if "_recording" in entry:
        try:
            header = _header.validate_python(entry["_recording"])
        except ValidationError as error:
            raise RecordingError(f"{where}: its _recording is no recording's header") from error
        return header if provenance is None else dataclasses.replace(header, provenance=provenance)
    if provenance is None:
        raise RecordingError(
            f"{where}: does not tell what answered; give --provenance 'real service', "
            "'real engine', 'stand-in' or 'scripted'"
        )
    parts = urlsplit(str(entry.get("request", {}).get("url", "")))
    query = f"?{parts.query}" if parts.query else ""
    shown, hidden = hide_secrets(f"{parts.path or CONTAINER_PATH}{query}")
    return Header(
        provenance=provenance,
        target=f"{parts.scheme}://{parts.netloc}" if parts.netloc else "",
        path=shown,
        recorded=str(entry.get("startedDateTime", "")),
        redacted=("query",) if hidden else (),
        made_with=made_with(),
    )


def _event(message: dict[str, Any], ms: float, where: str) -> Event | None:
    senders: dict[object, Sender] = {"send": "client", "receive": "container"}
    sender = senders.get(message.get("type"))
    data = message.get("data")
    if sender is None or not isinstance(data, str):
        if message.get("type") == "error":
            return None
        raise RecordingError(f"{where}: expected type send or receive, and data")
    match message.get("opcode"):
        case 1:
            return FrameEvent(ms=ms, sender=sender, type="TEXT", fin=True, text=data)
        case 2:
            try:
                payload = base64.b64decode(data, validate=True)
            except binascii.Error as error:
                raise RecordingError(f"{where}: its data is no base64: {error}") from error
            fields = carried(payload, textual=False)
            return FrameEvent(ms=ms, sender=sender, type="BINARY", fin=True, **fields)
        case 8:
            return Control(ms=ms, sender=sender, type="CLOSE", code=1005)
        case _:
            return None


def _epoch(recorded: str) -> float:
    try:
        parsed = datetime.datetime.fromisoformat(recorded)
    except ValueError:
        return 0.0
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=datetime.UTC)
    return parsed.timestamp()


def _iso(epoch: float) -> str:
    at = datetime.datetime.fromtimestamp(epoch, datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
