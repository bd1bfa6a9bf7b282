"""What realtime checks send: a recording of the user's, or a sound made here."""

from __future__ import annotations

import functools
import math
import struct
from pathlib import Path

from sagemaker_bidi.extras import needs
from sagemaker_bidi_contract.options import TargetError

RATE = 16_000
_SECONDS = 2.0


@functools.cache
def sound(path: Path | None) -> bytes:
    """PCM16, 16 kHz, mono.

    Args:
        path: a recording, or None for two seconds of a hum whose loudness moves as speech's does.

    Raises:
        TargetError: the recording cannot be read.
    """
    if path is None:
        return _hum()
    with needs("client", "--audio"):
        from sagemaker_bidi_client.audio import AudioError, load
    try:
        return load(path).pcm
    except AudioError as error:
        raise TargetError(f"--audio: {error}") from error


def _hum() -> bytes:
    samples = []
    for n in range(int(RATE * _SECONDS)):
        at = n / RATE
        loudness = 6_000 * (0.5 - 0.5 * math.cos(2 * math.pi * 4 * at))
        tone = math.sin(2 * math.pi * 140 * at) + 0.5 * math.sin(2 * math.pi * 280 * at)
        samples.append(int(loudness * tone))
    return struct.pack(f"<{len(samples)}h", *samples)
