"""The plans in force, for whoever holds an emulator: from any thread, and for a block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from sagemaker_bidi.faults.engine import Faults
from sagemaker_bidi.faults.plan import Plan
from sagemaker_bidi.own_thread import call_on


class PlansInForce:
    """Adds and removes fault plans while an emulator runs; any thread may.

    Args:
        faults: carries the plans out.
        loop: says which loop the emulator runs on; None while it does not run.
    """

    def __init__(
        self, faults: Faults, loop: Callable[[], asyncio.AbstractEventLoop | None]
    ) -> None:
        self._faults = faults
        self._loop = loop

    @property
    def plans(self) -> list[Plan]:
        """The plans in force, oldest first."""
        return call_on(self._loop(), lambda: self._faults.plans)

    def add(self, plan: Plan) -> None:
        """Put a plan into force, for open sessions too.

        Raises:
            ValueError: a plan of that name is in force.
        """
        call_on(self._loop(), lambda: self._faults.add(plan))

    def remove(self, name: str) -> None:
        """Take a plan out of force. What it holds goes on; not a byte is lost.

        Raises:
            KeyError: no plan of that name is in force.
        """
        call_on(self._loop(), lambda: self._faults.remove(name))


class InForce:
    """A plan that is in force for as long as a block runs, `with` or `async with`.

    Args:
        plans: where it is added and removed.
        plan: of a name that is not in force.
    """

    def __init__(self, plans: PlansInForce, plan: Plan) -> None:
        self._plans = plans
        self._plan = plan

    def __enter__(self) -> Plan:
        self._plans.add(self._plan)
        return self._plan

    def __exit__(self, *exc: object) -> None:
        if self._plan in self._plans.plans:
            self._plans.remove(self._plan.name)

    async def __aenter__(self) -> Plan:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)
