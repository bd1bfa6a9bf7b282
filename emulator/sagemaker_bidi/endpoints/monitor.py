"""Watches the containers' health and says when it changes (K4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Literal

from sagemaker_bidi.clock import Clock
from sagemaker_bidi.contract.errors import Refused
from sagemaker_bidi.contract.health import Health, PingAnswer, Status, Strictness
from sagemaker_bidi.contract.settings import ContractSettings
from sagemaker_bidi.endpoints.endpoints import ACCOUNT, Endpoint, Variant
from sagemaker_bidi.endpoints.ping import ping
from sagemaker_bidi.shown import logger_named

logger = logger_named("bidi.hosting")


class Monitor:
    """The health of every container.

    Args:
        endpoints: whose containers are watched.
        settings: the contract's numbers.
        clock: what the schedule asks.
        strictness: `off` takes every container as in service.
        answers: `real`, or as if every container answered so: `503` from the start, `slow` once
            it is in service.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        settings: ContractSettings,
        clock: Clock,
        strictness: Strictness,
        answers: Literal["real", "503", "slow"] = "real",
    ) -> None:
        self._settings = settings
        self._answers = answers
        self._clock = clock
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._strictness = strictness
        self._watched = self._begin()
        self._first: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        # Why a container has not answered, as far as that has been told since it last did.
        self._silent: dict[tuple[str, str], set[str]] = {}

    def _begin(self) -> dict[tuple[str, str], tuple[Variant, Health]]:
        if self._strictness == "off":
            return {}
        return {
            (endpoint.name, variant.name): (
                variant,
                Health(
                    self._clock.now(),
                    startup=self._settings.startup_seconds,
                    interval=self._settings.health_interval,
                    failures=self._settings.health_failures,
                    strictness=self._strictness,
                ),
            )
            for endpoint in self._endpoints.values()
            for variant in endpoint.variants
            # SageMaker looks after the containers of an endpoint of its own.
            if not variant.upstream
        }

    def status(self, endpoint: str, variant: str) -> Status:
        """A container's status; InService where none is watched."""
        watched = self._watched.get((endpoint, variant))
        return Status.IN_SERVICE if watched is None else watched[1].status

    def statuses(self, endpoint: str) -> dict[str, Status]:
        """The status of each of an endpoint's variants."""
        variants = self._endpoints[endpoint].variants
        return {variant.name: self.status(endpoint, variant.name) for variant in variants}

    def not_in_service(self, endpoint: str) -> list[tuple[str, str]]:
        """What each container that was found out of service was asked, and what it answered."""
        told: list[tuple[str, str]] = []
        for variant in self._endpoints[endpoint].variants:
            watched = self._watched.get((endpoint, variant.name))
            if watched is None or watched[1].status is Status.IN_SERVICE:
                continue
            if (latest := watched[1].latest) is not None:
                told.append((f"GET {_ping_url(variant)}", latest.what))
        return told

    def check_invocable(self, endpoint: str, variant: Variant) -> None:
        """Check that a container takes invocations.

        Raises:
            Refused: the endpoint is not in service yet, or its container is unhealthy (K4, O4).
        """
        watched = self._watched.get((endpoint, variant.name))
        if watched is None:
            return
        refusal = watched[1].refusal(endpoint, ACCOUNT, variant.container, _ping_url(variant))
        if refusal is not None:
            raise Refused(refusal)

    async def asked(self, endpoint: str, variant: str) -> None:
        """Wait until a container has been asked once, if any asks it."""
        first = self._first.get((endpoint, variant))
        if first is not None and not first.done():
            await asyncio.wait({first})

    async def start(self, *, asked: bool = True) -> None:
        """Check every container, now and in the background; each one starts afresh.

        Args:
            asked: return when each has been asked once.
        """
        self._watched = self._begin()
        self._first = {
            key: asyncio.create_task(self._check(*key), name=f"health {'/'.join(key)}, at first")
            for key in self._watched
        }
        if asked:
            await asyncio.gather(*self._first.values())
        self._tasks = [
            asyncio.create_task(self._watch(*key), name=f"health {'/'.join(key)}")
            for key in self._watched
        ]

    async def stop(self) -> None:
        """Stop watching."""
        tasks = [*self._tasks, *self._first.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks, self._first = [], {}

    async def _watch(self, endpoint: str, variant: str) -> None:
        await self._first[endpoint, variant]
        health = self._watched[endpoint, variant][1]
        while (deadline := health.deadline()) is not None:
            await self._clock.sleep_until(deadline)
            await self._check(endpoint, variant)

    async def _check(self, endpoint: str, name: str) -> None:
        variant, health = self._watched[endpoint, name]
        answer = await self._ask(variant, health)
        before = health.latest
        changed = health.receive_answer(answer, self._clock.now())
        label = f"{endpoint}/{name}"
        if changed is not None:
            level = logging.INFO if changed is Status.IN_SERVICE else logging.ERROR
            logger.log(
                level, "%s: %s: GET %s %s (K4)", label, changed, _ping_url(variant), answer.what
            )
        if changed is Status.IN_SERVICE and health.passes_only_here(answer):
            logger.warning(
                "%s: /ping %s, not 200: SageMaker would never bring this container into service "
                "(K4); it is taken all the same, as health is lenient",
                label,
                answer.what,
            )
        news = self._is_news((endpoint, name), before, answer)
        if changed is None and not health.passes(answer) and news:
            logger.warning(
                "%s: %s: GET %s %s (K4)", label, health.status, _ping_url(variant), answer.what
            )

    def _is_news(self, key: tuple[str, str], before: PingAnswer | None, answer: PingAnswer) -> bool:
        # Through a published port, what is not up yet refuses and resets connections in turn.
        silent = self._silent.setdefault(key, set())
        reason = answer.what.partition(" (")[0]
        if answer.status is not None:
            silent.clear()
            return before is None or before.what.partition(" (")[0] != reason
        known = reason in silent
        silent.add(reason)
        return not known

    async def _ask(self, variant: Variant, health: Health) -> PingAnswer:
        seconds = self._settings.health_timeout
        if self._answers == "503":
            return PingAnswer(503, "answered 503, as a scenario has it")
        if self._answers == "slow" and health.status is not Status.CREATING:
            return PingAnswer(None, f"did not answer within {seconds:g} s, as a scenario has it")
        return await ping(variant.url, clock=self._clock.unscaled, seconds=seconds)


def _ping_url(variant: Variant) -> str:
    return f"http{variant.url.removeprefix('ws')}/ping"
