"""Recordings to HAR 1.2, with Chrome's `_webSocketMessages`; `har_import` is the way back.

HAR knows whole messages only: fragments are joined, pings and pongs are left out. Its times are the
wall's: a recording's are divided by its `time_scale` on the way out, and multiplied on the way in.
"""

from __future__ import annotations

import base64
import datetime
import json
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import TypeAdapter

from sagemaker_bidi.contract.endings import ABNORMAL, NO_STATUS
from sagemaker_bidi.recordings.files import Recording, RecordingError
from sagemaker_bidi.recordings.format import Control, Header, Opening
from sagemaker_bidi.recordings.redaction import made_with
from sagemaker_bidi.recordings.script import Assembly, Said, script_of

TEXT, BINARY, CLOSE = 1, 2, 8
# Seconds since 1970 of the year 10,000: what is later is in other units.
LATEST = 253_402_300_800

_header: TypeAdapter[Header] = TypeAdapter(Header)
_UPGRADED = Opening(ms=0, sender="emulator", type="Switching Protocols", status=101)


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
        *_closes(recording, start),
    ]
    messages.sort(key=lambda message: message["time"])
    total = recording.events[-1].ms / header.time_scale if recording.events else 0.0
    refusal = recording.refusal or _UPGRADED
    address = split_address(header.target, f"{recording.path}: its target")
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
                        "status": refusal.status,
                        "statusText": refusal.type,
                        "httpVersion": "HTTP/1.1",
                        "headers": [],
                        "cookies": [],
                        "content": {
                            "size": len(refusal.text.encode()),
                            "mimeType": "text/plain" if refusal.text else "x-unknown",
                            "text": refusal.text,
                        },
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


def split_address(text: str, where: str) -> SplitResult:
    """Take an address apart.

    Raises:
        RecordingError: it is none; `where` says whose.
    """
    try:
        return urlsplit(text)
    except ValueError as error:
        raise RecordingError(f"{where} is no address: {error}") from error


def is_told(code: int | None) -> bool:
    """Whether a close code is one that a Close frame can have (RFC 6455 7.4)."""
    return code is not None and 1000 <= code <= 4999 and code not in (NO_STATUS, ABNORMAL)


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


def _closes(recording: Recording, start: float) -> list[dict[str, Any]]:
    """The Close frames; a connection that was lost had none."""
    return [
        {
            "type": "receive" if event.sender == "container" else "send",
            "time": start + event.ms / 1000 / recording.header.time_scale,
            "opcode": CLOSE,
            "data": base64.b64encode(_close_payload(event)).decode(),
        }
        for event in recording.events
        if isinstance(event, Control) and event.type == "CLOSE" and event.code != ABNORMAL
    ]


def _close_payload(close: Control) -> bytes:
    """RFC 6455 5.5.1."""
    if close.code is None or not is_told(close.code):
        return b""
    return close.code.to_bytes(2) + close.text.encode()


def _epoch(recorded: str) -> float:
    try:
        parsed = datetime.datetime.fromisoformat(recorded)
    except ValueError:
        return 0.0
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=datetime.UTC)
    epoch = parsed.timestamp()
    return epoch if 0 <= epoch < LATEST else 0.0


def _iso(epoch: float) -> str:
    at = datetime.datetime.fromtimestamp(epoch, datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
