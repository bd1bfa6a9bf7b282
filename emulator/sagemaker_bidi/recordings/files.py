"""Reads and writes recordings, line by line: JSON Lines, a header first."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sagemaker_bidi.recordings.format import VERSION, End, Event, Header, Opening, to_line

SUFFIX = ".jsonl"
PARTIAL = ".partial"
LONGEST_LINE = 128 * 1024 * 1024
BOM = b"\xef\xbb\xbf"

_header: TypeAdapter[Header] = TypeAdapter(Header)
_event: TypeAdapter[Event] = TypeAdapter(Event)


class RecordingError(ValueError):
    """A recording that cannot be used; says which file and line, and what is expected."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording in memory."""

    path: Path
    header: Header
    events: tuple[Event, ...]

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def end(self) -> End | None:
        """How the session ended; None where the recording was cut off."""
        last = self.events[-1] if self.events else None
        return last if isinstance(last, End) else None

    @property
    def refusal(self) -> Opening | None:
        """The refusal, where the stream was never opened."""
        for event in self.events:
            if isinstance(event, Opening) and event.type != "accepted":
                return event
        return None


def check_folder(folder: Path) -> None:
    """Make a folder for recordings where it is missing, and try that a file can be made in it.

    One that is made is its owner's alone: recordings hold what people said.

    Raises:
        OSError: it cannot be used; says why.
    """
    try:
        _make(folder)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=PARTIAL):
            pass
    except OSError as error:
        raise OSError(
            f"{folder}: no recording can be written there: {error.strerror}; choose another folder"
        ) from error


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def within(given: Iterable[Path]) -> list[Path]:
    """The recordings that files and folders stand for: a folder's are those directly in it."""
    paths: list[Path] = []
    for path in given:
        paths += sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    return paths


def read_recording(path: Path) -> Recording:
    """Read a whole recording.

    Raises:
        RecordingError: the file cannot be read, or a line is not what it has to be.
    """
    with open_recording(path) as (header, events):
        return Recording(path, header, tuple(events))


@contextmanager
def open_recording(path: Path) -> Iterator[tuple[Header, Iterator[Event]]]:
    """Open a recording: its header, and its events as they are asked for, one in memory at a time.

    Raises:
        RecordingError: as `read_recording`; for an event, when its turn comes.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        lines = _lines(path, iter(lambda: file.readline(LONGEST_LINE + 1), b""))
        number, line = next(lines, (1, b""))
        header = _read_header(f"{path}:{number}", line)
        cut = path.name.endswith(PARTIAL)
        yield (
            header,
            (
                _read_event(f"{path}:{number}", line)
                for number, line in lines
                # Its writer was killed: what had passed before is whole.
                if line.endswith(b"\n") or not cut
            ),
        )


def _lines(path: Path, lines: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise RecordingError(
                f"{path}:{number}: the line has more than {LONGEST_LINE} bytes; expected one event"
            )
        if number == 1:
            line = line.removeprefix(BOM)
        if line.strip():
            yield number, line


def _read_header(where: str, line: bytes) -> Header:
    if b'"recording"' not in line:
        raise RecordingError(
            f'{where}: no recording: the first line has to be a header, {{"recording":{VERSION},…}}'
        )
    try:
        return _header.validate_json(line)
    except ValidationError as error:
        for found in error.errors():
            if found["loc"] == ("recording",):
                raise RecordingError(
                    f"{where}: the recording has format version {found['input']!r}; this release "
                    f"reads version {VERSION}"
                ) from error
        raise RecordingError(f"{where}: {_explain(error)}; expected a header") from error


def _read_event(where: str, line: bytes) -> Event:
    try:
        return _event.validate_json(line)
    except ValidationError as error:
        cut = "" if line.endswith(b"\n") else " (the file ends in this line: was it cut off?)"
        raise RecordingError(f"{where}: {_explain(error)}; expected an event{cut}") from error


def _explain(error: ValidationError) -> str:
    # What was received may be somebody's speech: it is not repeated.
    return "; ".join(
        ": ".join(
            filter(
                None, [".".join(map(str, found["loc"])), found["msg"].replace("Value error, ", "")]
            )
        )
        for found in error.errors(include_input=False, include_url=False)
    )


class Writer:
    """Writes a recording; it has its name only once it is whole.

    Args:
        path: where it shall stand; until `finish` it is `path` with `.partial` behind it.
        header: its first line.

    Raises:
        OSError: the file cannot be made, or written.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self._partial = path.with_name(path.name + PARTIAL)
        _make(path.parent)
        # Unbuffered: a process that is killed has lost nothing that had passed.
        self._file = open(self._partial, "xb", buffering=0, opener=_private)  # noqa: SIM115
        try:
            self.write(header)
        except OSError:
            self.discard()
            raise

    def write(self, event: Header | Event) -> None:
        """Add an event; it is on file when this returns."""
        rest = memoryview(to_line(event))
        while rest:
            rest = rest[self._file.write(rest) :]

    def finish(self) -> None:
        """Close the file and give it its name, in place of an older one."""
        self._file.close()
        os.replace(self._partial, self.path)

    def discard(self) -> None:
        """Give the file up."""
        try:
            self._file.close()
        finally:
            self._partial.unlink(missing_ok=True)


def write_recording(path: Path, header: Header, events: tuple[Event, ...]) -> None:
    """Write a whole recording.

    Raises:
        OSError: the file cannot be written.
    """
    writer = Writer(path, header)
    try:
        for event in events:
            writer.write(event)
    except BaseException:
        writer.discard()
        raise
    writer.finish()
