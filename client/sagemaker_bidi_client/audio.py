"""A recording on disk, as the audio that a realtime speech model takes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

RATE = 16_000
"""Samples a second that the model takes."""

BYTES_PER_SAMPLE = 2
"""PCM16, little-endian, one channel."""

CHUNK_BYTES = 4_096
"""One append: 2,048 samples, 128 ms."""

_BLOCK_FRAMES = 65_536


class AudioError(Exception):
    """The file holds no audio that can be sent; the message says why and what to do."""


@dataclass(frozen=True)
class Audio:
    """Speech at 16 kHz, mono, PCM16.

    `seconds` is the length of `pcm`; `source_rate` (Hz), `source_channels` and `format` (for
    example "WAV PCM_16") tell what was read.
    """

    pcm: bytes = field(repr=False)
    seconds: float
    source_rate: int
    source_channels: int
    format: str

    def chunks(self, size: int = CHUNK_BYTES) -> Iterator[bytes]:
        """Cut the audio into pieces of `size` bytes; the last one is shorter.

        Raises ValueError where `size` isn't a positive, even number: half a sample can't be sent.
        """
        if size <= 0 or size % BYTES_PER_SAMPLE:
            raise ValueError(f"a chunk is a positive, even number of bytes, not {size}")
        return (self.pcm[start : start + size] for start in range(0, len(self.pcm), size))


def chunk_seconds(size: int = CHUNK_BYTES) -> float:
    """Tell how long `size` bytes of the model's audio last, in seconds."""
    return size / (RATE * BYTES_PER_SAMPLE)


def load(path: str | Path) -> Audio:
    """Read a file in any format that libsndfile knows, at any rate and with any channels.

    Channels are averaged, the rate is changed with soxr's HQ recipe, and the same file gives the
    same bytes each time: a 16 kHz mono PCM16 file passes unchanged. The file is converted block by
    block, so that an hour of studio audio takes an hour's worth of PCM16 and no more.

    Raises AudioError where there is no file, no audio in it, or no samples.
    """
    path = Path(path)
    descriptor = _open(path)
    try:
        # A descriptor has no name: given one, soundfile would take "x.raw" for headerless audio
        # and ask for a sample rate, whatever the file holds.
        with soundfile.SoundFile(descriptor, closefd=False) as source:
            pcm = b"".join(_convert(source))
            rate, channels = source.samplerate, source.channels
            kind = f"{source.format} {source.subtype}"
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path} isn't audio that can be read: libsndfile says {error.error_string!r}. "
            f"Formats it reads: {_formats()}. Convert other ones, for example with "
            f"`ffmpeg -i {path.name} -ar 16000 -ac 1 speech.wav`."
        ) from error
    finally:
        os.close(descriptor)
    if not pcm:
        raise AudioError(f"{path} is a {kind} file with no samples in it: there is nothing to send")
    seconds = len(pcm) / (RATE * BYTES_PER_SAMPLE)
    return Audio(pcm, seconds, rate, channels, kind)


def _open(path: Path) -> int:
    try:
        # Opening a pipe or a device could wait for ever, so look before opening.
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{path} is a directory: name one audio file")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{path} isn't a regular file: save the audio to a file first")
        if status.st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes): there is nothing to send")
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError as error:
        raise AudioError(
            f"no file {path}: check the name (relative names start at {Path.cwd()})"
        ) from error
    except OSError as error:
        raise AudioError(f"{path} can't be read: {error.strerror}") from error


def _convert(source: Any) -> Iterator[bytes]:
    """Yield the PCM16 bytes of a sound file, block by block."""
    change_rate = (
        soxr.ResampleStream(source.samplerate, RATE, 1, dtype="float32", quality="HQ")
        if source.samplerate != RATE
        else None
    )
    # Not `blocks()`: it trusts the header's length, and a truncated file would end in noise.
    while len(block := source.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        # One bad sample would spread through the resampler's filter to its neighbours.
        clean = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
        mono = clean.mean(axis=1, dtype=np.float32)
        yield _pcm16(mono if change_rate is None else change_rate.resample_chunk(mono))
    if change_rate is not None:
        yield _pcm16(change_rate.resample_chunk(np.zeros(0, np.float32), last=True))


def _pcm16(samples: Any) -> bytes:
    # 32768 is the scale that libsndfile divides by: 16-bit audio comes back bit for bit.
    scaled = np.rint(np.asarray(samples, np.float64) * 32768.0)
    return bytes(np.clip(scaled, -32768, 32767).astype("<i2").tobytes())


def _formats() -> str:
    return ", ".join(sorted(set(soundfile.available_formats()) - {"RAW"}))
