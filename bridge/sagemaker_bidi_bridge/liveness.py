"""Notices an engine that hangs: sessions speak, and no answer comes; no I/O.

vLLM's `/health` stays 200 when its engine hangs, and its WebSockets stay open. What tells is that
audio goes on arriving and nothing at all is answered. When a model answers is its own affair:
Voxtral does so each 80 ms, Qwen3-ASR when a segment of 5 s is full, and neither while its client
is mute. So a session is owed an answer for as much audio as the limit is long, or for its final
commit, and in no other case.
"""

import binascii
import json
from dataclasses import dataclass, field
from typing import Any

_OVER = ("transcription.done", "error")
_BYTES_A_SECOND = 32_000  # PCM16 at 16 kHz
# What is longer is not looked into: 24 s of audio in one message are no speech that arrives.
_READ_CHARACTERS = 2**20
# What a session that has left was owed counts for so many times the limit: then sessions may try
# the engine again.
_REMEMBERED = 2.0


@dataclass(eq=False, slots=True)
class SessionLife:
    """What one session has said and heard.

    Args:
        engine: is told of it.
        generating: the engine has been asked to transcribe, and has not said that it is done.
        unheard: seconds of audio since the last message from the engine.
        unheard_since: when the first of them was passed on.
        waiting_since: since when the engine owes this session a message, or None.
        held: the client takes nothing, so the engine's answers are not read.
    """

    engine: "EngineLife"
    generating: bool = False
    unheard: float = 0.0
    unheard_since: float = 0.0
    waiting_since: float | None = None
    held: bool = False

    def sent(self, message: str | bytes, now: float) -> None:
        """Note a message that was passed on to vLLM.

        Args:
            message: as the client wrote it; what counts is its type, and its audio as decoded.
            now: seconds on a clock that does not go back.
        """
        if self.engine.limit is None:
            return
        event = _event(message)
        match event.get("type"):
            case "input_audio_buffer.append":
                self._said(event.get("audio"), now)
            case "input_audio_buffer.commit":
                if event.get("final") is not True:
                    self.generating = True
                elif self.generating:
                    self._owed(now)
        if self.generating and self.unheard >= self.engine.limit:
            self._owed(self.unheard_since)

    def heard(self, message: str | bytes, now: float) -> None:
        """Note a message from vLLM: whatever it says, the engine has said it or is gone."""
        self.unheard, self.waiting_since = 0.0, None
        if self.generating and _event(message).get("type") in _OVER:
            self.generating = False
        self.engine.heard(now)

    def hold(self) -> None:
        """Note that a message is being passed to the client, and none is read until it is taken.

        A client that reads nothing is not laid at the engine's door.
        """
        self.held = True
        self.unheard, self.waiting_since = 0.0, None

    def release(self) -> None:
        """Note that the client has taken it."""
        self.held = False

    def dropped(self) -> None:
        """Note that vLLM's side has ended the connection: a hung engine keeps it open."""
        self.waiting_since = None
        self.engine.replaced()

    def ended(self, now: float) -> None:
        """Note that the session is over. One that waited too long is remembered for a while."""
        self.engine.left(self, now)

    def _said(self, audio: object, now: float) -> None:
        if self.held or not isinstance(audio, str):
            return
        try:
            size = len(binascii.a2b_base64(audio))
        except ValueError:
            return  # vLLM answers it with an error, at once
        if not self.unheard:
            self.unheard_since = now
        self.unheard += size / _BYTES_A_SECOND

    def _owed(self, since: float) -> None:
        if self.waiting_since is None and not self.held:
            self.waiting_since = since


@dataclass(slots=True)
class EngineLife:
    """Whether the engine still answers, over all sessions.

    Args:
        limit: seconds that it may owe messages to a session, with none to any other, before it
            counts as hung; None never says so.
    """

    limit: float | None
    _sessions: set[SessionLife] = field(default_factory=set)
    _heard_at: float | None = None
    _left_waiting: float | None = None
    _forgotten_at: float = 0.0

    def session(self) -> SessionLife:
        """A session that has opened."""
        life = SessionLife(self)
        self._sessions.add(life)
        return life

    def heard(self, now: float) -> None:
        """Any message to any session: the engine lives."""
        self._heard_at = now
        self._left_waiting = None

    def replaced(self) -> None:
        """Forget what sessions that have ended were owed: that vLLM is gone, or was for a while.

        No answer could clear it: while the verdict stands SageMaker opens no session.
        """
        self._left_waiting = None

    def left(self, life: SessionLife, now: float) -> None:
        """A session has ended; where it had waited too long the verdict outlives it for a while.

        Not for ever: if it was wrong there would be nobody to set it right.
        """
        if self.limit is not None and self.silent_for(now) is not None:
            if self._left_waiting is None:
                self._left_waiting = self._since(now)
            self._forgotten_at = now + _REMEMBERED * self.limit
        self._sessions.discard(life)

    def silent_for(self, now: float) -> float | None:
        """Seconds for which the engine has owed messages, where that is over the limit."""
        since = self._since(now)
        if self.limit is None or since is None:
            return None
        # One session can starve while the engine works for others: that is no hang.
        owing = now - (since if self._heard_at is None else max(since, self._heard_at))
        return owing if owing >= self.limit else None

    def _since(self, now: float) -> float | None:
        waits = [life.waiting_since for life in self._sessions if life.waiting_since is not None]
        if self._left_waiting is not None and now < self._forgotten_at:
            waits.append(self._left_waiting)
        return min(waits, default=None)


def _event(message: str | bytes) -> dict[str, Any]:
    """An event as JSON, or an empty one for whatever else a client sends."""
    if isinstance(message, bytes) or len(message) > _READ_CHARACTERS:
        return {}
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
