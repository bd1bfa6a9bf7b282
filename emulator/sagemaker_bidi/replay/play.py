"""Plays the client's side of a recording to a target, and holds the answer against it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from sagemaker_bidi.clock import Clock, RealClock
from sagemaker_bidi.contract.endings import ABNORMAL
from sagemaker_bidi.contract.frames import Frame
from sagemaker_bidi.recordings.files import Recording, RecordingError
from sagemaker_bidi.recordings.format import Opening
from sagemaker_bidi.recordings.script import Assembly, Finish, Heard, Message, Script, script_of
from sagemaker_bidi.replay.compare import IGNORED, Difference, Mode, compare
from sagemaker_bidi.replay.side import Pace, Side
from sagemaker_bidi.replay.targets import Target, TargetRefused
from sagemaker_bidi.transport.container import DATA, Closed
from sagemaker_bidi.transport.link import Link

SETTLE_SECONDS = 0.1
CLEAN = (1000, 1005)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of playing a recording.

    Args:
        recording: which.
        sent: frames that were sent.
        received: messages that came.
        problem: in one line what is wrong, apart from the messages; empty where nothing is.
        difference: the first one between the messages.
    """

    recording: Recording
    sent: int
    received: tuple[Message, ...]
    problem: str = ""
    difference: Difference | None = None

    @property
    def alike(self) -> bool:
        """Whether the target did what was recorded."""
        return not self.problem and self.difference is None


async def play(
    recording: Recording,
    target: Target,
    *,
    mode: Mode = "json",
    pace: Pace | None = None,
    ignored: Iterable[str] = IGNORED,
    clock: Clock | None = None,
) -> Outcome:
    """Play the client's side of a recording, and compare.

    Args:
        mode: how the container's side is compared.
        pace: how fast.
        ignored: members that `json` leaves out.
        clock: what the waiting asks.

    Raises:
        RecordingError: there is nothing in it to play.
    """
    clock = clock or RealClock()
    pace = pace or Pace()
    if recording.refusal is not None:
        return await _play_refusal(recording, recording.refusal, target, clock)
    script = script_of(recording)
    if not script.client and not script.container:
        raise RecordingError(
            f"{recording.path}: plays nothing: no part and no frame is in it; a recording that "
            "shows nothing passes with any target"
        )
    try:
        link = await target.open(recording.header.path, clock)
    except TargetRefused as refused:
        return Outcome(recording, 0, (), f"no stream was opened: {refused}")
    client = _Client(script, link, mode, pace, clock)
    await client.run()
    received = tuple(client.side.heard.messages)
    problem = client.problem or _ending_problem(script.finish, client.closed, target, mode)
    difference = compare(script.container_messages, received, mode, ignored)
    return Outcome(recording, client.side.said, received, problem, difference)


async def _play_refusal(
    recording: Recording, refusal: Opening, target: Target, clock: Clock
) -> Outcome:
    expected = f"HTTP {refusal.status} {refusal.type}"
    try:
        link = await target.open(recording.header.path, clock)
    except TargetRefused as refused:
        got = refused.refusal
        if got is None or (got.status, got.type) == (refusal.status, refusal.type):
            return Outcome(recording, 0, ())
        return Outcome(
            recording, 0, (), f"it was refused with {expected}, now {got.status} {got.type}"
        )
    link.close(1000, "", discard=True)
    await link.wait_closed(clock)
    return Outcome(recording, 0, (), f"it was refused with {expected}, now it was opened")


def _ending_problem(finish: Finish, closed: Closed | None, target: Target, mode: Mode) -> str:
    if finish.by != "container":
        if closed is None or finish.by is None:
            return ""
        return f"the target ended the session, which it did not in the recording: {_told(closed)}"
    if closed is None:
        return "the target did not end the session as it did in the recording"
    if target.endpoint or finish.code is None:
        return _error_problem(finish, closed, mode, codes=target.endpoint)
    if finish.code != closed.code or (mode == "exact" and finish.reason != closed.reason):
        recorded = f"Close {finish.code} ({finish.reason or 'no reason'})"
        return f"the session ended with {recorded}, now with {_told(closed)}"
    return ""


def _error_problem(finish: Finish, closed: Closed, mode: Mode, *, codes: bool) -> str:
    recorded, got = finish.error, closed.error
    if recorded is None and finish.code not in (None, *CLEAN):
        # Recorded without SageMaker: an endpoint makes an error of its container's end (E1, E6).
        code = "StreamBroken" if finish.code == ABNORMAL else str(finish.code)
        same = got is not None and got.code == code
        return (
            "" if same else f"the session ended with Close {finish.code}, now with {_told(closed)}"
        )
    if recorded is None:
        clean = got is None and closed.code in CLEAN
        return "" if clean else f"the session ended cleanly, now with {_told(closed)}"
    told = f"the session ended with {recorded.type} {recorded.code}, now with {_told(closed)}"
    if got is None:
        # A container's own Close frame says nothing of the error that becomes of it.
        return told if codes or closed.code in CLEAN else ""
    same = (recorded.type, recorded.code) == (got.event, got.code)
    return "" if same and (mode != "exact" or recorded.text == got.message) else told


def _told(closed: Closed) -> str:
    if closed.error is not None:
        return f"{closed.error.event} {closed.error.code}".strip()
    return f"Close {closed.code} ({closed.reason or 'no reason'})"


class _Client:
    """The client's side of one session."""

    def __init__(self, script: Script, link: Link, mode: Mode, pace: Pace, clock: Clock) -> None:
        self.closed: Closed | None = None
        self.problem = ""
        self._script = script
        self._link = link
        self._pace = pace
        self._clock = clock
        self._final = mode == "text"
        self.side = Side(
            script.client, pace, clock, final=self._final, patience=self._pace.patience
        )

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        try:
            unsaid = await self.side.speak(self._send)
            if unsaid is not None:
                self._miss(unsaid.heard, f"it says message {self.side.said + 1}")
            if not self.problem:
                await self._hear_out()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._link.close(1000, "", discard=True)
            await self._link.wait_closed(self._clock.unscaled)
            self._link.abort()

    async def _read(self) -> None:
        while self.closed is None:
            received = await self._link.receive()
            if isinstance(received, Closed):
                self.closed = received
                self.side.end()
                return
            for frame in received:
                if frame.opcode in DATA:
                    self.side.receive(frame)

    async def _send(self, frame: Frame) -> None:
        self._link.send(frame)
        if self._link.congested:
            try:
                async with self._clock.unscaled.within(self._pace.patience):
                    await self._link.drain()
            except TimeoutError:
                self.problem = "the target takes nothing more"

    async def _hear_out(self) -> None:
        """Wait for the rest of the answer, and for the end where that is the container's."""
        all_of_it = Assembly()
        for said in self._script.container:
            all_of_it.receive(said.frame)
        if not await self.side.has_heard(all_of_it.heard):
            self._miss(all_of_it.heard, "the session ends")
        elif self._script.finish.by != "container":
            # What a target says too much has to have a chance to come.
            await self._clock.sleep_until(self._clock.now() + SETTLE_SECONDS)
        elif not await self.side.until(lambda: self.side.over):
            self.problem = "the target did not end the session as it did in the recording"

    def _miss(self, heard: Heard, before: str) -> None:
        """What is wrong where the target has not said what it had said by then."""
        expected, said = self.side.counted(heard), self.side.counted(self.side.heard.heard)
        if said >= expected:
            return
        kind = "messages that are no deltas" if self._final else "messages"
        why = "then it ended the session" if self.closed else f"within {self._pace.patience:g} s"
        self.problem = f"before {before}, {expected} {kind} were recorded; {said} came, {why}"
        if self.closed is not None:
            self.problem += f" with {_told(self.closed)}"
