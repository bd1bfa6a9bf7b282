"""Which recordings are played to a target, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sagemaker_bidi_fixtures
from sagemaker_bidi.recordings.files import (
    SUFFIX,
    Recording,
    RecordingError,
    read_recording,
    within,
)
from sagemaker_bidi_contract.options import Options, TargetError

BUNDLED = Path(sagemaker_bidi_fixtures.__file__).parent / "sessions"


@dataclass(frozen=True, slots=True)
class Choice:
    """A recording that was asked for.

    Args:
        id: of its check, `recording.NAME`.
        recording: the recording.
        unfit: why it is not played to this target; empty where it is.
    """

    id: str
    recording: Recording
    unfit: str = ""


def choose(options: Options) -> tuple[Choice, ...]:
    """The recordings that the options ask for; none where they ask for none.

    With `container` those of that container are played, and the others are skipped by name;
    without `recordings` they are looked for among the bundled ones. Without `container` all are
    played: whoever names them says that they are the target's.

    Raises:
        TargetError: there is no recording, none of that container, or one that cannot be read.
    """
    if not options.recordings and not options.container:
        return ()
    given = options.recordings or (BUNDLED,)
    try:
        found = [read_recording(path) for path in within(given)]
    except RecordingError as error:
        raise TargetError(f"--recordings: {error}") from error
    where = ", ".join(map(str, given)) if options.recordings else "the bundled ones"
    if not found:
        raise TargetError(f"--recordings {where}: there is no recording (*{SUFFIX}) to play")
    ids = _ids(recording.name for recording in found)
    choices = tuple(
        Choice(f"recording.{name}", recording, _unfit(recording, options.container))
        for name, recording in zip(ids, found, strict=True)
    )
    if all(choice.unfit for choice in choices):
        known = sorted({repr(recording.header.container) for recording in found})
        raise TargetError(
            f"--container {options.container!r}: no recording of it is in {where}, so nothing "
            f"would be played; there are recordings of {', '.join(known)}"
        )
    return choices


def _unfit(recording: Recording, container: str) -> str:
    of = recording.header.container
    if not container or of.casefold() == container.casefold():
        return ""
    return f"it was recorded of {of!r}, and the target is {container!r} by --container"


def _ids(names: Iterable[str]) -> list[str]:
    """The names, each once: a second `hello`, of another folder, is `hello-2`."""
    taken: list[str] = []
    for name in names:
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name}-{number}"
        taken.append(free)
    return taken
