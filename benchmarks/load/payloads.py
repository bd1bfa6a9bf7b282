"""The frames that every route carries: the same bytes from the same seed, in each form needed."""

from __future__ import annotations

import base64
import random
import struct
from dataclasses import dataclass
from hashlib import sha256
from zlib import crc32

from websockets.speedups import apply_mask

SEED = 20_260_101
VOICE_FRAME = 5_600
BULK_FRAME = 64 * 1024
KINDS = 8
MASK = b"\x37\xfa\x21\x3d"

_EVENT_HEADERS = {
    ":message-type": "event",
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    "DataType": "UTF8",
    "CompletionState": "COMPLETE",
}


@dataclass(frozen=True, slots=True)
class Payload:
    """One frame's content.

    Args:
        text: what the container receives and sends back.
        event: the PayloadPart that carries it (W3).
        digest: SHA-256 of `event` in hex, as a chunk's signature needs it (W4).
        frame: a masked WebSocket text frame of it.
    """

    text: bytes
    event: bytes
    digest: bytes
    frame: bytes


def payloads(size: int) -> list[Payload]:
    """Speech-like JSON text of `size` bytes, in `KINDS` variants."""
    source = random.Random(SEED + size)
    return [_payload(size, source) for _ in range(KINDS)]


def _payload(size: int, source: random.Random) -> Payload:
    before, after = b'{"type":"input_audio_buffer.append","audio":"', b'"}'
    audio = base64.b64encode(source.randbytes(size))[: size - len(before) - len(after)]
    text = before + audio + after
    event = encode_message(_EVENT_HEADERS, text)
    return Payload(text, event, sha256(event).hexdigest().encode(), masked_frame(text))


def encode_message(headers: dict[str, str], payload: bytes) -> bytes:
    """An event-stream message with string headers (W3)."""
    block = b"".join(
        bytes((len(name),)) + name.encode() + struct.pack(">BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    prelude += struct.pack(">I", crc32(prelude))
    message = prelude + block + payload
    return message + struct.pack(">I", crc32(message))


def masked_frame(text: bytes, first: int = 0x81) -> bytes:
    """A client's WebSocket frame (RFC 6455 5.2).

    Args:
        text: the payload, unmasked.
        first: FIN bit and opcode; a whole text frame unless given.
    """
    length = len(text)
    if length < 126:
        head = struct.pack(">BB", first, 0x80 | length)
    elif length < 65_536:
        head = struct.pack(">BBH", first, 0x80 | 126, length)
    else:
        head = struct.pack(">BBQ", first, 0x80 | 127, length)
    return head + MASK + apply_mask(text, MASK)
