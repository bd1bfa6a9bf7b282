"""The tap that carries out fault plans, and lets them come and go while sessions run."""

from __future__ import annotations

import asyncio
import functools
import math
import random
from collections import Counter
from collections.abc import Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sagemaker_bidi.contract.errors import Refusal
from sagemaker_bidi.contract.outputs import Ending
from sagemaker_bidi.faults.kinds import Fault, OpeningFault, Removal, Scene, SessionFault
from sagemaker_bidi.faults.plan import Plan, Rule
from sagemaker_bidi.shown import logger_named
from sagemaker_bidi.tap import (
    Attempt,
    Item,
    Later,
    Passage,
    Point,
    Tap,
    TappedSession,
    unwrapped,
)

logger = logger_named("bidi.faults")

POINTS: dict[tuple[str, str], Point] = {
    ("container", "sent"): "to-container",
    ("container", "received"): "from-container",
    ("client", "sent"): "to-client",
}


@dataclass(eq=False)
class _Active:
    """A rule that is in force."""

    rule: Rule
    plan: Plan
    number: int
    removal: Removal = field(default_factory=Removal)
    invocations: int = 0
    sessions: int = 0

    def __str__(self) -> str:
        return f"plan {self.plan.name!r}, rules[{self.number}] ({self.rule.fault.name})"

    def concerns(self, attempt: Attempt) -> bool:
        when = self.rule.when
        return when.endpoint in (None, attempt.endpoint) and when.variant in (None, attempt.variant)


@dataclass(eq=False)
class _Part:
    """A rule's part in one session."""

    scene: Scene
    chosen: bool = False
    seen: int = 0
    acted: int = 0


@dataclass(eq=False)
class _Due:
    """A session fault that acts when the item which completed its `after` has crossed."""

    fault: SessionFault
    scene: Scene
    crosses: bool = False


@dataclass(eq=False)
class _Watched:
    """What is kept for one invocation, and for the session that it becomes."""

    parts: dict[_Active, _Part] = field(default_factory=dict)
    due: dict[Point | None, list[_Due]] = field(default_factory=dict)
    # Where something was late, so that others may cross before the item of now.
    slowed: set[Point | None] = field(default_factory=set)
    # Whether faults have begun to act since the last item.
    acting: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    switched: Counter[str] = field(default_factory=Counter)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Faults(Tap):
    """The plans in force.

    The same plans, seeds and order of invocations make the same run: each rule draws its chances
    for each session from the plan's seed, the rule's place and the session's, and from nothing
    else, so that sessions side by side do not change each other's.

    Args:
        plans: in force from the start.
        endpoints: names of those that there are; a rule for another one is told of in the log.
    """

    def __init__(
        self, plans: Sequence[Plan] = (), endpoints: Collection[str] | None = None
    ) -> None:
        self._endpoints = endpoints
        self._active: list[_Active] = []
        self._at: dict[Point | None, tuple[_Active, ...]] = {}
        self._watched: dict[str, _Watched] = {}
        self._open: dict[str, TappedSession] = {}
        self._plans: dict[str, Plan] = {}
        for plan in plans:
            self.add(plan)

    @property
    def idle(self) -> bool:
        """Whether no rule acts on what passes."""
        return not any(self._at.get(point) for point in POINTS.values())

    @property
    def plans(self) -> list[Plan]:
        """The plans in force, oldest first."""
        return list(self._plans.values())

    def add(self, plan: Plan) -> None:
        """Put a plan into force, for open sessions too.

        Raises:
            ValueError: a plan of that name is in force.
        """
        if plan.name in self._plans:
            raise ValueError(f"a plan named {plan.name!r} is in force already; remove it first")
        self._plans[plan.name] = plan
        added = [_Active(rule, plan, number) for number, rule in enumerate(plan.rules)]
        for active in added:
            self._warn_of_unknown_endpoint(active)
        self._set_active([*self._active, *added])
        for session in self._open.values():
            self._enter(session, added)

    def _warn_of_unknown_endpoint(self, active: _Active) -> None:
        endpoint = active.rule.when.endpoint
        if self._endpoints is None or endpoint is None or endpoint in self._endpoints:
            return
        logger.warning(
            "%s never acts: there is no endpoint %r, there are: %s",
            active,
            endpoint,
            ", ".join(sorted(self._endpoints)) or "none",
        )

    def remove(self, name: str) -> None:
        """Take a plan out of force. What it holds goes on; not a byte is lost.

        Raises:
            KeyError: no plan of that name is in force.
        """
        if name not in self._plans:
            known = ", ".join(self._plans) or "none"
            raise KeyError(f"no plan named {name!r} is in force; in force: {known}")
        plan = self._plans.pop(name)
        removed = [active for active in self._active if active.plan is plan]
        self._set_active([active for active in self._active if active.plan is not plan])
        for active in removed:
            active.removal.remove()

    def _set_active(self, active: list[_Active]) -> None:
        self._active = active
        points = {each.rule.when.point for each in active}
        self._at = {
            point: tuple(each for each in active if each.rule.when.point == point)
            for point in points
        }

    # Before the stream is open, and once it is.

    async def opening(self, attempt: Attempt) -> None:
        for active in self._active:
            if active.concerns(attempt):
                # All rules meet it now: their chances hang on the order of arrival alone.
                self._meet(active, attempt)
        for active in self._at.get("opening", ()):
            part = self._part(active, attempt.id)
            if part is None or not part.chosen or active.removal.removed.is_set():
                continue
            if part.scene.random.random() < active.rule.when.probability:
                fault: OpeningFault = active.rule.fault  # type: ignore[assignment]
                await fault.open(attempt, part.scene)

    def opened(self, session: TappedSession) -> None:
        self._open[session.id] = session
        self._enter(session, self._active)

    def _meet(self, active: _Active, attempt: Attempt) -> _Part:
        watched = self._watched.setdefault(attempt.id, _Watched())
        if active in watched.parts:
            return watched.parts[active]
        place, active.invocations = active.invocations, active.invocations + 1
        scene = Scene(
            attempt.id,
            attempt.clock,
            random.Random(f"{active.plan.seed}/{active.number}/{place}"),
            active.removal,
            watched.over,
            functools.partial(self._spawn, watched, f"{active}, session {attempt.id}"),
            watched.switched,
        )
        when = active.rule.when
        chosen = when.point == "opening" and place >= when.after
        if when.sessions is not None:
            chosen = chosen and place < when.after + when.sessions
        watched.parts[active] = part = _Part(scene, chosen)
        return part

    def _enter(self, session: TappedSession, rules: Iterable[_Active]) -> None:
        for active in rules:
            when = active.rule.when
            if when.point == "opening" or not active.concerns(session):
                continue
            part = self._meet(active, session)
            part.chosen = when.sessions is None or active.sessions < when.sessions
            active.sessions += 1
            if when.point == "opened" and part.chosen:
                part.scene.spawn(self._act_at_its_time(active, part, session))

    async def _act_at_its_time(self, active: _Active, part: _Part, session: TappedSession) -> None:
        scene, when = part.scene, active.rule.when
        if scene.random.random() >= when.probability:
            return
        if await scene.wait(session.opened_at + when.at - scene.clock.now()):
            fault: SessionFault = active.rule.fault  # type: ignore[assignment]
            await fault.act(session, scene)

    # As something passes.

    async def passing(self, session: TappedSession, passage: Passage) -> Sequence[Item | Later]:
        items: Sequence[Item | Later] = (passage.item,)
        point = _point(passage)
        watched = self._watched.get(session.id)
        if watched is not None and watched.acting:
            # However many items come at once, what those before this one have set off comes first.
            watched.acting = False
            await asyncio.sleep(0)
        for active in self._at.get(point, ()):
            part = self._part(active, session.id)
            if part is None or not part.chosen:
                continue
            passed: list[Item | Later] = []
            for item in items:
                passed += await self._through(active, part, session, item)
            items = passed
        if watched is None or not items:
            return items
        if any(isinstance(each, Later) for each in items):
            watched.slowed.add(point)
        if not (due := list(watched.due.get(point, ()))):
            return items
        if point in watched.slowed:
            return [*items[:-1], _telling(items[-1], passage.at, due)]
        _cross(due)
        return items

    async def _through(
        self, active: _Active, part: _Part, session: TappedSession, passing: Item | Later
    ) -> Sequence[Item | Later]:
        when, fault, scene = active.rule.when, active.rule.fault, part.scene
        late, item = unwrapped(passing)
        at = late.at if late is not None and late.at != math.inf else scene.clock.now()
        if active.removal.removed.is_set() or at < session.opened_at + when.at:
            return (passing,)
        if not self._fits(active, part, item):
            return (passing,)
        part.acted += 1
        if hasattr(fault, "apply"):
            of_items: Fault = fault  # type: ignore[assignment]
            scene.at = at
            results = await of_items.apply(session, item, scene)
            return results if late is None else late.followed_by(results)
        of_session: SessionFault = fault  # type: ignore[assignment]
        if when.after:
            due = self._watched[session.id].due.setdefault(when.point, [])
            due.append(_Due(of_session, scene))
        else:
            await of_session.act(session, scene)
        return (passing,)

    def _fits(self, active: _Active, part: _Part, item: Item) -> bool:
        when, acts_on_items = active.rule.when, hasattr(active.rule.fault, "apply")
        if not when.fits(item):
            return False
        part.seen += 1
        # A session's fault acts once `after` items have crossed, with the last of them.
        if part.seen <= when.after - (0 if acts_on_items else 1):
            return False
        times = when.times if acts_on_items or when.times is not None else 1
        if times is not None and part.acted >= times:
            return False
        return when.probability == 1 or part.scene.random.random() < when.probability

    def passed(self, session_id: str, passage: Passage) -> None:
        watched, point = self._watched.get(session_id), _point(passage)
        if watched is None or point not in watched.due:
            return
        due = watched.due.pop(point)
        if left := [each for each in due if not each.crosses]:
            watched.due[point] = left
        for each in due:
            if each.crosses and not each.scene.removal.removed.is_set():
                watched.acting = True
                each.scene.spawn(each.fault.act(self._open[session_id], each.scene))

    # The end.

    def ended(self, session_id: str, ending: Ending | None, at: float) -> None:
        self._forget(session_id)

    def refused(self, session_id: str, refusal: Refusal, at: float) -> None:
        self._forget(session_id)

    def abandoned(self, session_id: str, why: str, at: float) -> None:
        self._forget(session_id)

    def _forget(self, session_id: str) -> None:
        self._open.pop(session_id, None)
        for active in self._active:
            active.removal.forget(session_id)
        watched = self._watched.pop(session_id, None)
        if watched is not None:
            watched.over.set()
            for task in watched.tasks:
                task.cancel()

    def _part(self, active: _Active, session_id: str) -> _Part | None:
        watched = self._watched.get(session_id)
        return None if watched is None else watched.parts.get(active)

    def _spawn(self, watched: _Watched, whose: str, acting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(acting, name="fault")
        watched.tasks.add(task)
        task.add_done_callback(watched.tasks.discard)
        task.add_done_callback(functools.partial(_report, whose))


def _cross(due: Sequence[_Due]) -> None:
    for each in due:
        each.crosses = True


def _telling(passing: Item | Later, now: float, due: Sequence[_Due]) -> Later:
    """The item, be it late or behind one that is; what is due is told when it crosses."""

    async def crosses() -> None:
        _cross(due)

    late, item = unwrapped(passing)
    at, waits = (now, ()) if late is None else (late.at, late.waits)
    return Later(item, at, (*waits, crosses))


def _point(passage: Passage) -> Point | None:
    return POINTS.get((passage.side, passage.direction))


def _report(whose: str, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("%s: the fault failed: %s", whose, error, exc_info=error)
