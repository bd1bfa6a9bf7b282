"""Says what came of a replay, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sagemaker_bidi.recordings.files import Recording, RecordingError
from sagemaker_bidi.recordings.script import script_of
from sagemaker_bidi.replay.compare import IGNORED, Mode, likeness
from sagemaker_bidi.replay.play import Outcome
from sagemaker_bidi.replay.playback import Played


def outcome_lines(
    outcome: Outcome,
    recordings: Sequence[Recording],
    mode: Mode,
    ignored: Iterable[str] = IGNORED,
) -> list[str]:
    """An outcome for a terminal: `told`, with the verdict and the recording before it."""
    first, *rest = told(outcome, recordings, mode, ignored)
    verdict = "ok  " if outcome.alike else "FAIL"
    return [
        f"{verdict}  {outcome.recording.path.name}: {first}",
        *(f"      {each}" for each in rest),
    ]


def told(
    outcome: Outcome,
    recordings: Sequence[Recording],
    mode: Mode,
    ignored: Iterable[str] = IGNORED,
) -> list[str]:
    """An outcome in words: one line where all is well, else what is not.

    Args:
        recordings: all that are known, to name the one that the answer is closest to; that line
            is the last one.
    """
    if outcome.alike:
        if outcome.recording.refusal is not None:
            return ["refused, as it was recorded"]
        return [
            f"{_count(outcome.sent, 'frame')} sent, "
            f"{_count(len(outcome.received), 'message')} alike ({mode})"
        ]
    lines = []
    if outcome.problem:
        lines.append(outcome.problem)
    if outcome.difference is not None:
        lines += outcome.difference.lines()
        lines.append(_closest(outcome, recordings, mode, ignored))
    return list(filter(None, lines))


def played_lines(played: Played, mode: Mode) -> list[str]:
    """What a client did with a recording that was played to it."""
    name = played.recording.path.name
    if played.alike:
        return [f"ok    {name}: {_count(played.said, 'frame')} said, the client's alike ({mode})"]
    told = [played.problem] if played.problem else []
    if played.difference is not None:
        told += [f"of the client's, {played.difference.lines()[0]}"]
        told += played.difference.lines()[1:]
    first, *rest = told
    return [f"FAIL  {name}: {first}", *(f"      {line}" for line in rest)]


def _closest(
    outcome: Outcome, recordings: Sequence[Recording], mode: Mode, ignored: Iterable[str]
) -> str:
    left_out = tuple(ignored)
    best: tuple[float, int, int, str] | None = None
    for recording in recordings:
        try:
            messages = script_of(recording).container_messages
        except RecordingError:
            continue
        alike, of = likeness(messages, outcome.received, mode, left_out)
        found = (alike / of if of else 0.0, alike, of, recording.path.name)
        if best is None or found[0] > best[0]:
            best = found
    if best is None:
        return ""
    _, alike, of, name = best
    kind = "text" if mode == "text" else "message"
    return f"the closest recording is {name}: {alike} of {_count(of, kind)} alike"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
