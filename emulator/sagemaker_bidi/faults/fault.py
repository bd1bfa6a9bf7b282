"""What a fault is: one small file with its fields and one method, registered under its name.

The method says where a fault may act: `open` on an invocation before its stream is open, `apply`
on what passes, `act` on an open session as a whole. `docs/faults.md` tells how to write one.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from sagemaker_bidi.clock import Clock, first_of
from sagemaker_bidi.tap import Attempt, Item, Later, TappedSession

type Kind = Literal["data", "ping", "pong", "error", "close", "any"]
type Switch = Callable[[bool], None]


@dataclass(eq=False)
class Removal:
    """Says when a fault is taken away, and undoes what it did to the sessions that are open."""

    removed: asyncio.Event = field(default_factory=asyncio.Event)
    _undo: dict[str, dict[str, Callable[[], None]]] = field(default_factory=dict)

    def undo(self, session_id: str, what: str, how: Callable[[], None]) -> bool:
        """Have something undone on removal; False where that is so already."""
        kept = self._undo.setdefault(session_id, {})
        if what in kept:
            return False
        kept[what] = how
        return True

    def forget(self, session_id: str) -> None:
        """The session is over: there is nothing to undo any more."""
        self._undo.pop(session_id, None)

    def remove(self) -> None:
        """Wake what waits and undo what was done."""
        self.removed.set()
        for session in list(self._undo.values()):
            for undo in session.values():
                undo()
        self._undo.clear()


@dataclass(eq=False)
class Scene:
    """Where a rule acts on one session; the same object for as long as that lasts.

    Args:
        session_id: of the session, or of the invocation.
        clock: what all waiting asks.
        random: the rule's own for this session: the plan's seed decides what it draws.
        removal: of the rule.
        over: set when the session is over.
        spawn: runs something beside the session until that is over.
        switched: how many rules keep each switch of the session on.
        at: when the item reaches the rule, behind others that make it late.
        busy_until: for a rule that lets one item pass after the other.
    """

    session_id: str
    clock: Clock
    random: random.Random
    removal: Removal
    over: asyncio.Event
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    switched: Counter[str] = field(default_factory=Counter)
    at: float = 0.0
    busy_until: float = 0.0

    async def wait(self, seconds: float | None) -> bool:
        """Wait, unless the fault is removed or the session ends first.

        Args:
            seconds: of the emulator's clock; None waits for one of the two.

        Returns:
            Whether the time has passed.
        """
        if self.removal.removed.is_set() or self.over.is_set():
            return False
        if seconds is not None and seconds <= 0:
            return True
        try:
            async with self.clock.within(seconds):
                await first_of(self.removal.removed.wait(), self.over.wait())
        except TimeoutError:
            return True
        return False

    def later(self, item: Item, seconds: float | None) -> Later:
        """The item, on its way for so long: what `apply` returns to make it late.

        Args:
            item: what crosses then, or at once when the fault is removed.
            seconds: of the emulator's clock; None for as long as the fault is in force.
        """
        due = math.inf if seconds is None else self.at + seconds

        async def wait() -> None:
            await self.wait(None if due == math.inf else due - self.clock.now())

        return Later(item, due, (wait,))

    def keep_on(self, switch: Switch) -> None:
        """Switch something on at the session until the fault is removed.

        It stays on for as long as any other rule keeps it on.
        """
        name = getattr(switch, "__name__", repr(switch))

        def let_go() -> None:
            self.switched[name] -= 1
            if not self.switched[name]:
                switch(False)

        if self.removal.undo(self.session_id, name, let_go):
            self.switched[name] += 1
            switch(True)


class Fault(Protocol):
    """Acts on each item that passes."""

    name: ClassVar[str]

    async def apply(
        self, session: TappedSession, item: Item, scene: Scene
    ) -> Sequence[Item | Later]:
        """Give what crosses in the item's place, in order; `Scene.later` makes it late."""


class SessionFault(Protocol):
    """Acts on an open session as a whole: at a time, or once so many items have passed."""

    name: ClassVar[str]

    async def act(self, session: TappedSession, scene: Scene) -> None:
        """Act."""


class OpeningFault(Protocol):
    """Acts on an invocation before its stream is open."""

    name: ClassVar[str]

    async def open(self, attempt: Attempt, scene: Scene) -> None:
        """Act; `Refused`, raised from here, refuses the invocation."""


type AnyFault = Fault | SessionFault | OpeningFault

FAULTS: dict[str, type[AnyFault]] = {}


def fault[F: type[AnyFault]](kind: F) -> F:
    """Register a fault under its name, for plans."""
    if kind.name in FAULTS:
        raise ValueError(f"two faults are named {kind.name!r}")
    FAULTS[kind.name] = kind
    return kind
