"""Makes checks one after the other, each with a time limit, and makes findings of the outcomes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol

from sagemaker_bidi_contract.checks import Check
from sagemaker_bidi_contract.commands import commands_for
from sagemaker_bidi_contract.exchange import ExchangeLog
from sagemaker_bidi_contract.options import Options
from sagemaker_bidi_contract.verdicts import (
    Finding,
    Outcome,
    Report,
    Unmet,
    Verdict,
    failed,
    skipped,
)


class Stage(Protocol):
    """What a kind of target gives to the runner."""

    @property
    def log(self) -> ExchangeLog:
        """Where the stage writes what it sends and receives."""

    @property
    def awaited(self) -> str:
        """What is being waited for, for a check that hangs."""

    async def missing(self, capability: str) -> str | None:
        """Why a check that requires this capability cannot be made, or None.

        What many checks rest on, such as that a session opens, is told once: the first that asks
        is FAILED with it, and those after it are SKIPPED with that reason.

        Raises:
            Unmet: finding out has shown that the target breaks a rule.
        """

    async def unreachable(self) -> str | None:
        """Why nothing can be sent to the target, or None."""

    async def clear(self) -> None:
        """Close what a check has left open."""


class Runner:
    """Makes checks on a stage.

    Args:
        stage: of the target.
        timeout: limit of one check, seconds.
        on_finding: is told of each finding as it comes.
    """

    def __init__(
        self,
        stage: Stage,
        timeout: float,
        on_finding: Callable[[Finding], None] = lambda finding: None,
    ) -> None:
        self._stage = stage
        self._timeout = timeout
        self._on_finding = on_finding
        self._gone = ""
        self._reached = False

    async def run(self, checks: Iterable[Check]) -> list[Finding]:
        """Make the checks, in this order."""
        return [await self.run_one(check) for check in checks]

    async def run_one(self, check: Check) -> Finding:
        """Make one check.

        A target that nothing listens at fails the first check; those after it are skipped.
        """
        self._stage.log.begin()
        started = time.perf_counter()
        outcome = await self._outcome(check)
        exchange = self._stage.log.lines()
        await self._stage.clear()
        if outcome.verdict is Verdict.FAILED and not check.ends_target and not self._gone:
            outcome = await self._with_aftermath(check, outcome)
        finding = Finding(
            check.id,
            check.title,
            check.clauses,
            outcome.verdict,
            outcome.summary,
            outcome.expected,
            outcome.advice,
            outcome.defects,
            time.perf_counter() - started,
            exchange,
            outcome.needs,
        )
        self._on_finding(finding)
        return finding

    async def _outcome(self, check: Check) -> Outcome:
        if self._gone:
            return skipped(self._gone)
        if not self._reached:
            if reason := await self._stage.unreachable():
                self._gone = f"the target cannot be reached: {reason}"
                return failed(
                    reason,
                    expected="a target that can be reached",
                    advice="start it, and check its address",
                )
            self._reached = True
        # What options can give comes first: a check that is not wanted shows no root's failure.
        for capability in (*check.requires, *check.basis):
            try:
                if reason := await self._stage.missing(capability):
                    return skipped(reason, capability)
            except Unmet as wrong:
                return _disappointing(wrong)
        # What finds out about a capability is no part of the check's own exchange.
        self._stage.log.begin()
        return await self._make(check)

    async def _make(self, check: Check) -> Outcome:
        limit = check.seconds or self._timeout
        try:
            async with asyncio.timeout(limit):
                return await check.run(self._stage)
        except TimeoutError:
            return failed(
                f"the check did not end within {limit:g} s, and was waiting for "
                f"{self._stage.awaited or 'the target'}",
                expected="an answer, or an end",
            )
        except Unmet as wrong:
            return _disappointing(wrong)
        except (OSError, EOFError) as error:
            return failed(
                f"the connection failed while waiting for {self._stage.awaited or 'the target'}: "
                f"{type(error).__name__}: {error}",
                expected="a connection that ends with a Close frame",
            )

    async def _with_aftermath(self, check: Check, outcome: Outcome) -> Outcome:
        """Notice a target that did not survive a check, and name the check in those after it."""
        if not await self._stage.unreachable():
            return outcome
        self._gone = f"the target has not accepted connections since the check {check.id}"
        return failed(
            f"{outcome.summary}; after this check the target accepts no connections any more",
            expected=outcome.expected,
            advice=outcome.advice,
            defects=outcome.defects,
        )


def _disappointing(wrong: Unmet) -> Outcome:
    return failed(wrong.summary, expected=wrong.expected, advice=wrong.advice)


class Stopwatch:
    """When a run began and how long it took."""

    def __init__(self) -> None:
        self._started = datetime.now(UTC)
        self._at = time.perf_counter()

    def report(
        self, target: str, url: str, options: Options, findings: Iterable[Finding]
    ) -> Report:
        """The report of the run that ends now.

        Args:
            target: what was tested, in words.
            url: the command line's.
            options: the command line's.
            findings: of the checks.
        """
        found = tuple(findings)
        return Report(
            target,
            self._started.isoformat(timespec="seconds"),
            time.perf_counter() - self._at,
            options.strict,
            found,
            commands_for(url, options, {item.needs for item in found if item.needs}),
        )
