"""A recording, from a file or a pipe, as the audio that a realtime speech model takes."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile
import soxr

RATE = 16_000
"""Samples a second that the model takes."""

BYTES_PER_SAMPLE = 2
"""PCM16, little-endian, one channel."""

CHUNK_BYTES = 4_096
"""One append: 2,048 samples, 128 ms."""

STDIN = Path("-")
"""The name of standard input."""

ENCODINGS = {"pcm16": "PCM_16", "ulaw": "ULAW", "alaw": "ALAW"}
"""What headerless audio may hold, by libsndfile's names: PCM16, and both kinds of G.711."""

PIPE_SECONDS = 30.0
"""How long a named pipe may be without its first byte."""

_BLOCK_FRAMES = 65_536
_PIPED_LIMIT = 4 * 1024**3
_UNKNOWN_LENGTH = 2**62
# A mix this much below its loudest channel has lost it: 40 dB.
_CANCELLED = 0.01


class AudioError(Exception):
    """The file holds no audio that can be sent; the message says why and what to do."""


@dataclass(frozen=True)
class Audio:
    """Speech at 16 kHz, mono, PCM16.

    `seconds` is the length of `pcm`; `source_rate` (Hz), `source_channels` and `format` (for
    example "WAV PCM_16") tell what was read, `note` what was unusual about it.
    """

    pcm: bytes = field(repr=False)
    seconds: float
    source_rate: int
    source_channels: int
    format: str
    note: str = ""

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


@dataclass(frozen=True)
class Raw:
    """Headerless audio of one channel: samples a second, and one of `ENCODINGS`."""

    rate: int
    encoding: str = "pcm16"

    @classmethod
    def parse(cls, text: str) -> Raw:
        """Read `RATE` or `RATE:ENCODING`; raises ValueError with what is expected."""
        rate, _, encoding = text.partition(":")
        if not rate.isdecimal() or not 1_000 <= int(rate) <= 384_000:
            raise ValueError(f"{text!r}: write it as RATE or RATE:ENCODING, such as 8000:ulaw")
        if (encoding or "pcm16") not in ENCODINGS:
            raise ValueError(f"{text!r}: the encoding is one of {', '.join(ENCODINGS)}")
        return cls(int(rate), encoding or "pcm16")


def load(path: str | Path, *, raw: Raw | None = None) -> Audio:
    """Read audio in any format that libsndfile knows, at any rate and with any channels.

    `path` names a file, a pipe, or with "-" standard input; what is piped goes to a temporary file
    first. With `raw` it holds samples and no header.

    Channels are averaged, the rate is changed with soxr's HQ recipe, and the same file gives the
    same bytes each time: a 16 kHz mono PCM16 file passes unchanged. Where channels cancel each
    other out, the loudest one is taken, and `note` says so. The file is converted block by block,
    so that an hour of studio audio takes an hour's worth of PCM16 and no more.

    Raises AudioError where there is no file, no audio in it, or no samples.
    """
    path = Path(path)
    shown = "standard input" if path == STDIN else str(path)
    with contextlib.ExitStack() as opened:
        file = _with_length(opened.enter_context(_open(path, shown)), opened)
        try:
            audio = _read(file, raw)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{shown} isn't audio that can be read: libsndfile says {error.error_string!r}. "
                f"Formats it reads: {_formats()}. {_advice(path)}"
            ) from error
    if not audio.pcm:
        raise AudioError(
            f"{shown} is a {audio.format} file with no samples in it: there is nothing to send"
        )
    return audio


def _read(file: IO[bytes], raw: Raw | None) -> Audio:
    source = _Source(file, raw)
    pcm, mixed, channels = _converted(source, None)
    note = ""
    if source.channels > 1 and (loudest := max(channels)) > 0 and mixed < _CANCELLED**2 * loudest:
        chosen = channels.index(loudest)
        note = (
            f"its {source.channels} channels cancel each other out, as of opposite phase: channel "
            f"{chosen + 1} alone is sent"
        )
        source = _Source(file, raw)
        pcm, _, _ = _converted(source, chosen)
    seconds = len(pcm) / (RATE * BYTES_PER_SAMPLE)
    return Audio(pcm, seconds, source.rate, source.channels, source.format, note)


class _Source:
    """An open file of audio, read from its beginning."""

    def __init__(self, file: IO[bytes], raw: Raw | None) -> None:
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        given: dict[str, Any] = {}
        if raw is not None:
            given = {"samplerate": raw.rate, "channels": 1, "subtype": ENCODINGS[raw.encoding]}
            given |= {"format": "RAW", "endian": "LITTLE"}
        # A descriptor has no name: given one, soundfile would take "x.raw" for headerless audio
        # and ask for a sample rate, whatever the file holds.
        self._file = soundfile.SoundFile(file.fileno(), closefd=False, **given)
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.format = f"{self._file.format} {self._file.subtype}"

    def blocks(self) -> Iterator[Any]:
        """Give the samples, float32, a row for each moment."""
        with self._file:
            # Not `blocks()`: it trusts the header's length, and a truncated file would end in
            # noise.
            while len(block := self._block()):
                # One bad sample would spread through the resampler's filter to its neighbours.
                yield np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)

    def _block(self) -> Any:
        if self._file.frames < _UNKNOWN_LENGTH:
            return self._file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        # FLAC that was piped does not say how long it is. `read` seeks to where it is already,
        # which libsndfile cannot do at an end that it does not know.
        block = np.zeros((_BLOCK_FRAMES, self.channels), np.float32)
        pointer = soundfile._ffi.cast("float *", soundfile._ffi.from_buffer(block))
        count = soundfile._snd.sf_readf_float(self._file._file, pointer, _BLOCK_FRAMES)
        return block[:count]


def _converted(source: _Source, channel: int | None) -> tuple[bytes, float, list[float]]:
    """PCM16 of the mix or of one channel, and the energies of the mix and of each channel."""
    change_rate = (
        soxr.ResampleStream(source.rate, RATE, 1, dtype="float32", quality="HQ")
        if source.rate != RATE
        else None
    )
    pcm: list[bytes] = []
    mixed, energies = 0.0, np.zeros(source.channels)
    for block in source.blocks():
        mono = block.mean(axis=1, dtype=np.float32) if channel is None else block[:, channel].copy()
        mixed += float(np.sum(np.square(mono, dtype=np.float64)))
        energies += np.sum(np.square(block, dtype=np.float64), axis=0)
        pcm.append(_pcm16(mono if change_rate is None else change_rate.resample_chunk(mono)))
    if change_rate is not None:
        pcm.append(_pcm16(change_rate.resample_chunk(np.zeros(0, np.float32), last=True)))
    return b"".join(pcm), mixed, [float(each) for each in energies]


def _pcm16(samples: Any) -> bytes:
    # 32768 is the scale that libsndfile divides by: 16-bit audio comes back bit for bit.
    scaled = np.rint(np.asarray(samples, np.float64) * 32768.0)
    return bytes(np.clip(scaled, -32768, 32767).astype("<i2").tobytes())


def _open(path: Path, shown: str) -> IO[bytes]:
    try:
        if path == STDIN:
            if sys.stdin is None or sys.stdin.isatty():
                raise AudioError(
                    "standard input is a terminal: pipe audio into it, for example "
                    "`bidi transcribe - … < speech.wav`"
                )
            return _kept(sys.stdin.buffer, shown)
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{path} is a directory: name one audio file")
        if stat.S_ISFIFO(status.st_mode):
            with _written(path) as pipe:
                return _kept(pipe, shown)
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{path} is neither a file nor a pipe: save the audio to a file first")
        if status.st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes): there is nothing to send")
        return path.open("rb")
    except FileNotFoundError as error:
        raise AudioError(
            f"no file {path}: check the name (relative names start at {Path.cwd()})"
        ) from error
    except OSError as error:
        raise AudioError(f"{shown} can't be read: {error.strerror}") from error


def _written(path: Path) -> IO[bytes]:
    """Open a named pipe; where nobody writes to it, to open it would take for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
        if not poll.poll(PIPE_SECONDS * 1_000):
            raise AudioError(f"nobody has written to the pipe {path} for {PIPE_SECONDS:g} s")
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _kept(pipe: IO[bytes], shown: str) -> IO[bytes]:
    """All that a pipe gives, in a file that is gone when it is closed."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        size = 0
        while data := pipe.read(1024 * 1024):
            size += len(data)
            if size > _PIPED_LIMIT:
                raise AudioError(f"{shown} gives more than 4 GiB and goes on: is it a recording?")
            file.write(data)
        if not size:
            raise AudioError(f"{shown} gave nothing (0 bytes): what stands before the pipe failed?")
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


def _with_length(file: IO[bytes], opened: contextlib.ExitStack) -> IO[bytes]:
    """The file, or a copy where it is WAV that says it holds nothing and goes on all the same.

    So does what was written to a pipe: its length was not known, and the header stays as it was.
    """
    at, left = _empty_data(file)
    if at is None:
        return file
    with_length = tempfile.TemporaryFile()  # noqa: SIM115
    opened.enter_context(with_length)
    file.seek(0)
    while data := file.read(1024 * 1024):
        with_length.write(data)
    with_length.seek(at + 4)
    with_length.write(struct.pack("<I", min(left, 0xFFFFFFFF)))
    with_length.flush()
    return with_length


def _empty_data(file: IO[bytes]) -> tuple[int | None, int]:
    """Where a WAV file has its `data` of size 0, None for nowhere, and how many bytes follow."""
    end = file.seek(0, os.SEEK_END)
    if _is_wave(file):
        at = 12
        while at + 8 <= end:
            file.seek(at)
            name, size = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                left = end - at - 8
                file.seek(at + 8)
                following = file.read(8)
                # A chunk that ends where the file does: it is empty indeed.
                other = len(following) == 8 and struct.unpack("<4xI", following)[0] == left - 8
                return (at, left) if size == 0 and left and not other else (None, 0)
            at += 8 + size + size % 2
    return None, 0


def _is_wave(file: IO[bytes]) -> bool:
    file.seek(0)
    head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WAVE"


def _advice(path: Path) -> str:
    source = "pipe:0" if path == STDIN else shlex.quote(str(path))
    return f"Convert other ones: `ffmpeg -i {source} -ar 16000 -ac 1 speech.wav`"


def _formats() -> str:
    return ", ".join(sorted(set(soundfile.available_formats()) - {"RAW"}))
