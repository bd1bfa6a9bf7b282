"""Notices an engine that hangs: sessions speak, and no delta comes; no I/O.

vLLM's `/health` stays 200 when its engine hangs, and its WebSockets stay open. What tells is that
the engine answers each 80 ms of audio with a delta, an empty one in silence, and each final commit
with a `done`.
"""

import json
from dataclasses import dataclass, field

_APPEND = '"input_audio_buffer.append"'
_COMMIT = '"input_audio_buffer.commit"'
_OVER = ('"transcription.done"', '"error"')
# The first delta comes after the longest delay that the model knows, 2.4 s of audio, and 0.5625 s.
_FIRST_DELTA_SECONDS = 3.0
_BYTES_A_SECOND = 32_000 * 4 / 3  # PCM16 at 16 kHz, in base64


@dataclass(eq=False, slots=True)
class SessionLife:
    """What one session has said and heard.

    Args:
        engine: is told of it.
        generating: the engine has been asked to transcribe, and has not said that it is done.
        unheard: seconds of audio since the last message from the engine.
        waiting_since: when the engine first owed this session a message, or None.
    """

    engine: "EngineLife"
    generating: bool = False
    unheard: float = 0.0
    waiting_since: float | None = None

    def sent(self, message: str | bytes, now: float) -> None:
        """Note a message that was passed on to vLLM.

        Args:
            message: as the client wrote it; only its type and length count.
            now: seconds on a clock that does not go back.
        """
        if isinstance(message, bytes):
            return
        if _APPEND in message:
            self.unheard += len(message) / _BYTES_A_SECOND
        elif _COMMIT in message:
            if not _is_final(message):
                self.generating = True
            elif self.generating:
                self._owed(now)
        if self.generating and self.unheard >= _FIRST_DELTA_SECONDS:
            self._owed(now)

    def heard(self, message: str | bytes, now: float) -> None:
        """Note a message from vLLM: whatever it says, the engine has said it or is gone."""
        self.unheard, self.waiting_since = 0.0, None
        if isinstance(message, str) and any(word in message for word in _OVER):
            self.generating = False
        self.engine.heard(now)

    def dropped(self) -> None:
        """Note that vLLM's side has ended the connection: a hung engine keeps it open."""
        self.waiting_since = None
        self.engine.replaced()

    def ended(self, now: float) -> None:
        """Note that the session is over. One that waited too long is not forgotten."""
        self.engine.left(self, now)

    def _owed(self, now: float) -> None:
        if self.waiting_since is None:
            self.waiting_since = now


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

        No delta could clear it: while the verdict stands SageMaker opens no session.
        """
        self._left_waiting = None

    def left(self, life: SessionLife, now: float) -> None:
        """A session has ended; where it had waited too long the verdict outlives it."""
        if self.silent_for(now) is not None and self._left_waiting is None:
            self._left_waiting = self._since()
        self._sessions.discard(life)

    def silent_for(self, now: float) -> float | None:
        """Seconds for which the engine has owed messages, where that is over the limit."""
        since = self._since()
        if self.limit is None or since is None:
            return None
        # One session can starve while the engine works for others: that is no hang.
        owing = now - (since if self._heard_at is None else max(since, self._heard_at))
        return owing if owing >= self.limit else None

    def _since(self) -> float | None:
        waits = [life.waiting_since for life in self._sessions if life.waiting_since is not None]
        if self._left_waiting is not None:
            waits.append(self._left_waiting)
        return min(waits, default=None)


def _is_final(message: str) -> bool:
    try:
        commit = json.loads(message)
    except ValueError:
        return False
    return isinstance(commit, dict) and commit.get("final") is True
