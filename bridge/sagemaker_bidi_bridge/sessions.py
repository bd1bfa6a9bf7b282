"""The sessions that are open, and whether another may open."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sagemaker_bidi_bridge.descriptors import Capacity
from sagemaker_bidi_bridge.liveness import EngineLife, SessionLife
from sagemaker_bidi_bridge.settings import Settings


class Refused(Exception):
    """The bridge does not take another session now.

    Args:
        reason: why, in words for the log and for the body of the refusal.
    """


@dataclass(frozen=True, slots=True)
class Cut:
    """The bridge's own decision to end a session: the Close frame that both sides get."""

    code: int
    reason: str


@dataclass(eq=False, slots=True)
class Session:
    """One session.

    Args:
        session_id: SageMaker's request id, or one of the bridge's own.
        cut: set when the bridge wants the session to end.
        abort: cuts SageMaker's TCP connection, for a peer that takes nothing, not even a Close.
        life: what it has said and heard, for an engine that hangs.
    """

    session_id: str
    cut: asyncio.Future[Cut]
    abort: Callable[[], None]
    life: SessionLife


def register_of(settings: Settings, fit: Capacity | None = None) -> "Sessions":
    """The register for these settings; no more sessions than fit are let in."""
    engine = EngineLife(settings.hang_seconds)
    wanted = settings.max_sessions
    if fit is not None and (wanted is None or wanted > fit.sessions):
        words = f"the limit of {fit.descriptors} open files (ulimit -n)"
        return Sessions(fit.sessions, words, engine)
    return Sessions(wanted, engine=engine)


@dataclass(eq=False, slots=True)
class Sessions:
    """The open sessions of one bridge.

    Args:
        limit: how many may be open at once, or None.
        limit_set_by: what says so, in words.
        engine: whether vLLM still answers them.
    """

    limit: int | None = None
    limit_set_by: str = "BRIDGE_MAX_SESSIONS"
    engine: EngineLife = field(default_factory=lambda: EngineLife(None))
    draining: bool = False
    _open: set[Session] = field(default_factory=set)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._idle.set()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def admit(self, session_id: str, abort: Callable[[], None]) -> Iterator[Session]:
        """Count a session as open for as long as the block runs.

        Args:
            session_id: its id.
            abort: cuts SageMaker's TCP connection.

        Raises:
            Refused: while draining, or when `limit` sessions are open.
        """
        if self.draining:
            raise Refused("the bridge is draining: it has been told to stop")
        if self.limit is not None and len(self._open) >= self.limit:
            raise Refused(f"{self.limit} sessions are open, as many as {self.limit_set_by} allows")

        loop = asyncio.get_running_loop()
        session = Session(session_id, loop.create_future(), abort, self.engine.session())
        self._open.add(session)
        self._idle.clear()
        try:
            yield session
        finally:
            self._open.discard(session)
            session.life.ended(loop.time())
            if not self._open:
                self._idle.set()

    def cut_all(self, code: int, reason: str) -> None:
        """Ask every open session to end with this Close frame."""
        for session in self._open:
            if not session.cut.done():
                session.cut.set_result(Cut(code, reason))

    async def wait_idle(self) -> None:
        """Wait until no session is open."""
        await self._idle.wait()
