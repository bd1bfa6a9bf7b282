"""What a check can say, and the report that holds all of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from sagemaker_bidi_contract.exchange import Line


class Verdict(StrEnum):
    """How a target stands to a rule; the words are Autobahn's."""

    OK = "OK"
    FAILED = "FAILED"
    NON_STRICT = "NON-STRICT"
    INFORMATIONAL = "INFORMATIONAL"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found.

    Args:
        verdict: see `Verdict`.
        summary: one sentence, what the target did.
        expected: what it should have done; for FAILED and NON_STRICT.
        advice: what its developer can do about it.
        defects: numbers of the reference bridge's defects that look like this, see `defects`.
        needs: for SKIPPED: what the stage would need, such as `pid`.
    """

    verdict: Verdict
    summary: str
    expected: str = ""
    advice: str = ""
    defects: tuple[int, ...] = ()
    needs: str = ""


def ok(summary: str) -> Outcome:
    """The target keeps the rule."""
    return Outcome(Verdict.OK, summary)


def failed(
    summary: str, *, expected: str, advice: str = "", defects: tuple[int, ...] = ()
) -> Outcome:
    """The target breaks the rule."""
    return Outcome(Verdict.FAILED, summary, expected, advice, defects)


def non_strict(summary: str, *, expected: str, advice: str = "") -> Outcome:
    """What the target does is allowed, and not what the real thing would want."""
    return Outcome(Verdict.NON_STRICT, summary, expected, advice)


def informational(summary: str) -> Outcome:
    """No rule says what the target should do; this is what it does."""
    return Outcome(Verdict.INFORMATIONAL, summary)


def skipped(reason: str, needs: str = "") -> Outcome:
    """The check could not be made; the reason says what it needs."""
    return Outcome(Verdict.SKIPPED, reason, needs=needs)


class Unmet(Exception):
    """The target did something else than a check waits for.

    Args:
        summary: what it did.
        expected: what was waited for.
        advice: what its developer can do about it.
    """

    def __init__(self, summary: str, expected: str, advice: str = "") -> None:
        super().__init__(f"{summary}; expected {expected}")
        self.summary = summary
        self.expected = expected
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: a check, its outcome, and what went over the wire.

    Args:
        check: the check's id, such as `container.ping-page`.
        title: the check in words.
        clauses: ids of the clauses that it holds.
        seconds: how long it took.
        exchange: what was sent and received, in order.
    """

    check: str
    title: str
    clauses: tuple[str, ...]
    verdict: Verdict
    summary: str
    expected: str = ""
    advice: str = ""
    defects: tuple[int, ...] = ()
    seconds: float = 0.0
    exchange: tuple[Line, ...] = ()
    needs: str = ""

    @property
    def sent(self) -> tuple[str, ...]:
        """What the suite sent, in order."""
        return tuple(line.text for line in self.exchange if line.direction == "sent")

    @property
    def received(self) -> tuple[str, ...]:
        """What the suite received, in order."""
        return tuple(line.text for line in self.exchange if line.direction == "received")


@dataclass(frozen=True, slots=True)
class Report:
    """A run of the suite.

    Args:
        target: what was tested, as the user wrote it.
        started: when, ISO 8601 with the zone.
        seconds: how long the run took.
        strict: NON-STRICT counts as a failure.
        findings: one for each check that was selected.
        commands: that would make what was not made; empty where no option would.
    """

    target: str
    started: str
    seconds: float
    strict: bool
    findings: tuple[Finding, ...]
    commands: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """How it went, in one line; what was not made is said as well."""
        if not self.ran:
            return "No check was made"
        unmade = f", {self.unmade} not made" if self.unmade else ""
        checks = "check" if self.ran == 1 else "checks"
        if failures := len(self.failures):
            return f"{failures} of {self.ran} {checks} failed{unmade}"
        return f"{self.ran} {checks} passed{unmade}"

    @property
    def unmade(self) -> int:
        """How many checks were not made."""
        return len(self.findings) - self.ran

    @property
    def counts(self) -> dict[Verdict, int]:
        """How often each verdict was given, zeros included."""
        counted = Counter(finding.verdict for finding in self.findings)
        return {verdict: counted[verdict] for verdict in Verdict}

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that fail the run."""
        return tuple(item for item in self.findings if self.fails(item))

    @property
    def ran(self) -> int:
        """How many checks were made."""
        return sum(finding.verdict is not Verdict.SKIPPED for finding in self.findings)

    @property
    def defects(self) -> tuple[int, ...]:
        """The reference bridge's defects that this target shows, in order."""
        return tuple(sorted({number for item in self.findings for number in item.defects}))

    @property
    def passed(self) -> bool:
        """Whether something ran and nothing failed."""
        return bool(self.ran) and not self.failures

    @property
    def exit_status(self) -> int:
        """0 when passed, else 1."""
        return 0 if self.passed else 1

    def fails(self, finding: Finding) -> bool:
        """Whether this finding fails the run."""
        return finding.verdict is Verdict.FAILED or (
            self.strict and finding.verdict is Verdict.NON_STRICT
        )
