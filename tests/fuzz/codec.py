"""Fuzz target: the event-stream decoder and all that reads its messages (W3, W4, F7).

    python -m tests.fuzz.codec -max_total_time=60

The fuzzer knows nothing of checksums, so half of its inputs get right ones and reach what is behind
them. Bytes of any kind may raise `EventStreamError` or `InvalidPart`, and nothing else.
"""

from __future__ import annotations

import struct
import sys
import tempfile
import zlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["emulator"]):
    from sagemaker_bidi.contract.endings import error_in_text_frame
    from sagemaker_bidi.contract.eventstream.messages import (
        Decoder,
        EventStreamError,
        Limits,
        Message,
    )
    from sagemaker_bidi.contract.frames import InvalidPart, PartsToFrames, part_from_message

LIMITS = Limits(header_bytes=4096, payload_bytes=64 * 1024)


def framed(data: bytes) -> bytes:
    """`data`, the headers' length before it, as a message with right checksums."""
    body = data[2:]
    headers = min(int.from_bytes(data[:2]), len(body))
    prelude = struct.pack(">II", len(body) + 16, headers)
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + body
    return message + struct.pack(">I", zlib.crc32(message))


def one_input(data: bytes) -> None:
    """Decode `data` in pieces whose sizes it decides itself."""
    if data[:1] < b"\x80":
        data = framed(data[1:])
    decoder = Decoder(LIMITS)
    to_frames = PartsToFrames(reassemble=bool(data and data[0] & 1), message_bytes=4096)
    step = 1 + (data[-1] if data else 0)
    try:
        for start in range(0, len(data), step):
            decoder.receive_data(data[start : start + step])
            while (message := decoder.next_message()) is not None:
                # What was decoded can be encoded again, to the same message.
                again = Decoder(LIMITS)
                again.receive_data(message.encode())
                assert again.next_message() == message
                to_frames.frame(part_from_message(message))
                error_in_text_frame(message.payload)
        decoder.receive_end()
    except (EventStreamError, InvalidPart):
        pass


def seeds(folder: Path) -> None:
    """Inputs to begin with: a part's headers and payload, and a whole message."""
    part = Message({":message-type": "event", "DataType": "UTF8"}, b"{}").encode()
    (folder / "message").write_bytes(b"\x80" + part)
    (folder / "framed").write_bytes(b"\x00" + part[6:8] + part[12:-4])


if __name__ == "__main__":
    corpus = Path(tempfile.mkdtemp(prefix="fuzz-codec-"))
    seeds(corpus)
    atheris.Setup([*sys.argv, str(corpus)], one_input)
    atheris.Fuzz()
