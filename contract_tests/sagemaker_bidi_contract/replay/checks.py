"""A check for each recording, beside those of the target's kind."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from sagemaker_bidi.contract.endings import ABNORMAL
from sagemaker_bidi.recordings.files import Recording, RecordingError
from sagemaker_bidi.recordings.format import Control, FrameEvent, PartEvent
from sagemaker_bidi.recordings.script import Message, as_json
from sagemaker_bidi.replay.compare import IGNORED
from sagemaker_bidi.replay.play import Outcome as Replayed
from sagemaker_bidi.replay.play import play
from sagemaker_bidi.replay.report import told
from sagemaker_bidi.replay.side import Pace
from sagemaker_bidi.replay.targets import OPEN_SECONDS, Target
from sagemaker_bidi_contract.checks import Check, Registry, SelectionError
from sagemaker_bidi_contract.exchange import ExchangeLog
from sagemaker_bidi_contract.options import Options
from sagemaker_bidi_contract.replay.choice import Choice, choose
from sagemaker_bidi_contract.verdicts import Outcome, failed, ok, skipped

GROUP = "recording"
_WHO = "replay"
# A target on a busy machine takes longer than the recorded one; waiting has a limit of its own.
_LONGER = 4.0
_WAITS = 3


class ReplayStage(Protocol):
    """What a stage gives to a replay."""

    awaited: str

    @property
    def log(self) -> ExchangeLog:
        """Where it is written down what was sent and received."""

    @property
    def replayed_to(self) -> Target:
        """Where to play."""


def selected(registry: Registry, options: Options) -> tuple[Check, ...]:
    """The checks of a registry and of the recordings that the options select.

    Raises:
        SelectionError: an unknown clause or id, or recordings of which none is selected.
        TargetError: recordings that cannot be used.
    """
    beside = recording_checks(options, () if registry.kind == "container" else ("stream",))
    asked = [given for given in options.checks if given.partition(".")[0] == GROUP]
    if asked and not beside:
        raise SelectionError(f"--check {asked[0]}: say which recordings there are, --recordings")
    found = registry.select(options.clauses, options.checks, beside)
    require_one(found, beside)
    return found


def require_one(found: tuple[Check, ...], beside: tuple[Check, ...]) -> None:
    """Refuse a selection in which recordings were asked for and none is left to play.

    Raises:
        SelectionError: that is so.
    """
    if beside and not {check.id for check in found} & {check.id for check in beside}:
        raise SelectionError(
            f"none of the {len(beside)} recordings is selected, so nothing would be played; add "
            f"--check {GROUP}"
        )


def recording_checks(options: Options, requires: tuple[str, ...] = ()) -> tuple[Check, ...]:
    """A check for each recording that the options ask for.

    Args:
        requires: what the stage has to have for those that open a stream.

    Raises:
        TargetError: recordings that cannot be used.
    """
    choices = choose(options)
    known = tuple(choice.recording for choice in choices)
    return tuple(_check(choice, known, options, requires) for choice in choices)


def _check(
    choice: Choice, known: tuple[Recording, ...], options: Options, requires: tuple[str, ...]
) -> Check:
    recording = choice.recording

    async def run(stage: ReplayStage) -> Outcome:
        if choice.unfit:
            return skipped(choice.unfit)
        return await _replay(stage, recording, known, options)

    return Check(
        choice.id,
        f"It answers as it is recorded in {_named(recording)}",
        clauses_of(recording),
        () if recording.refusal or choice.unfit else requires,
        run,
        _seconds(recording, options),
    )


async def _replay(
    stage: ReplayStage, recording: Recording, known: tuple[Recording, ...], options: Options
) -> Outcome:
    stage.awaited = f"what {recording.path.name} has recorded"
    mode, ignored = options.compare, (*IGNORED, *options.ignore)
    pace = Pace(options.speed, options.timeout)
    try:
        target = stage.replayed_to
        played = await play(recording, target, mode=mode, pace=pace, ignored=ignored)
    except RecordingError as error:
        return failed(str(error), expected="a recording with something to play in it")
    _write_down(stage.log, played)
    lines = told(played, known, mode, ignored)
    if played.alike:
        return ok(lines[0])
    for line in lines:
        stage.log.add(_WHO, "note", line)
    return failed(_summary(lines), expected=f"the answers in {_named(recording)}")


def clauses_of(recording: Recording) -> tuple[str, ...]:
    """The clauses that a replay shows: one part is one frame, and what the recording has beside."""
    if recording.refusal is not None:
        return ("O4", "O7") if recording.refusal.status == 424 else ("O7",)
    found = ["F1", "F2"]
    if any(_is_fragment(event) for event in recording.events):
        found.append("F3")
    for event in recording.events:
        match event:
            case Control(sender="container", type="CLOSE", code=code) if code == ABNORMAL:
                found.append("E6")
            case Control(sender="container", type="CLOSE", code=1000 | 1005):
                found.append("E2")
            case Control(sender="container", type="CLOSE"):
                found.append("E1")
    return tuple(found)


def _is_fragment(event: object) -> bool:
    match event:
        case PartEvent(state=state):
            return state == "PARTIAL"
        case FrameEvent(fin=fin):
            return not fin
        case _:
            return False


def _named(recording: Recording) -> str:
    header = recording.header
    of = f", of {header.container}" if header.container else ""
    return f"{recording.path.name} ({header.provenance}{of})"


def _seconds(recording: Recording, options: Options) -> float:
    last = recording.events[-1].ms if recording.events else 0.0
    recorded = last / 1_000 / recording.header.time_scale
    played = _LONGER * recorded / min(options.speed or 1.0, 1.0)
    return OPEN_SECONDS + played + _WAITS * options.timeout


def _summary(lines: list[str]) -> str:
    """What is wrong, and the closest recording; the context between them is in the exchange."""
    return lines[0] if len(lines) == 1 else f"{lines[0]}; {lines[-1]}"


def _write_down(log: ExchangeLog, played: Replayed) -> None:
    log.add(_WHO, "sent", f"{played.sent} frames of the client's side")
    kinds = Counter(_kind(message) for message in played.received)
    shown = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
    log.add(_WHO, "received", f"{len(played.received)} messages: {shown}" if shown else "nothing")


def _kind(message: Message) -> str:
    document = as_json(message)
    kind = document.get("type") if isinstance(document, dict) else None
    if isinstance(kind, str):
        return kind[:40]
    return "text" if message.text else "binary"
