"""The report on a terminal: a line a check as it comes, the failures in full, the counts."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape as without_markup

from sagemaker_bidi_contract.checks import Check
from sagemaker_bidi_contract.defects import DEFECTS
from sagemaker_bidi_contract.verdicts import Finding, Report, Verdict

STYLES = {
    Verdict.OK: "green",
    Verdict.FAILED: "bold red",
    Verdict.NON_STRICT: "yellow",
    Verdict.INFORMATIONAL: "cyan",
    Verdict.SKIPPED: "dim",
}
_WIDTH = max(len(verdict) for verdict in Verdict)
_LINES = 16


def escape(text: str) -> str:
    """Make a text of the target's harmless: no markup, no control characters."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return without_markup("".join(shown))


def show_finding(console: Console, finding: Finding) -> None:
    """Print one line; skipped checks are counted at the end instead."""
    if finding.verdict is Verdict.SKIPPED:
        return
    style = STYLES[finding.verdict]
    clauses = ",".join(finding.clauses)
    console.print(
        f"[{style}]{finding.verdict:<{_WIDTH}}[/] [bold]{finding.check}[/] [dim]{clauses}[/] "
        f"{escape(finding.summary)}",
        highlight=False,
        soft_wrap=True,
    )


def show_report(console: Console, report: Report) -> None:
    """Print what failed and why, what was skipped, and the counts."""
    for finding in report.findings:
        if report.fails(finding):
            _show_failure(console, finding)
    _show_skipped(console, report)
    if report.defects:
        console.print("\n[bold]Defects of the reference bridge that this container shows[/]")
        for number in report.defects:
            console.print(f"  {number}  {escape(DEFECTS[number].title)}", highlight=False)
    counted = ", ".join(
        f"[{STYLES[verdict]}]{count} {verdict}[/]"
        for verdict, count in report.counts.items()
        if count
    )
    console.print(f"\n{escape(report.target)}: {counted or 'no check'} in {report.seconds:.1f} s")
    if not report.ran:
        console.print("[bold red]No check was made, so nothing was shown.[/]")
    else:
        style = STYLES[Verdict.OK if report.passed else Verdict.FAILED]
        console.print(f"[{style}]{report.headline}[/]", highlight=False)
    if report.commands:
        console.print("To make what was not made:")
        for command in report.commands:
            console.print(f"  {escape(command)}", highlight=False, soft_wrap=True)


def _show_failure(console: Console, finding: Finding) -> None:
    style = STYLES[finding.verdict]
    console.print(f"\n[{style}]{finding.verdict}[/] [bold]{finding.check}[/] {finding.title}")

    def row(name: str, text: str) -> None:
        console.print(f"  [dim]{name:<9}[/] {escape(text)}", highlight=False, soft_wrap=True)

    row("clauses", ", ".join(finding.clauses))
    row("found", finding.summary)
    row("expected", finding.expected)
    for number in finding.defects:
        row(f"defect {number}", f"{DEFECTS[number].title}: {DEFECTS[number].advice}")
    if finding.advice:
        row("to do", finding.advice)
    for line in finding.exchange[-_LINES:]:
        sign = {"sent": ">", "received": "<", "note": "="}[line.direction]
        row(f"{line.at:8.3f}", f"{line.who} {sign} {line.text}")


def _show_skipped(console: Console, report: Report) -> None:
    reasons: dict[str, list[str]] = {}
    for finding in report.findings:
        if finding.verdict is Verdict.SKIPPED:
            reasons.setdefault(finding.summary, []).append(finding.check)
    for reason, checks in reasons.items():
        named = checks[0] if len(checks) == 1 else f"{len(checks)} checks"
        console.print(
            f"[{STYLES[Verdict.SKIPPED]}]{Verdict.SKIPPED:<{_WIDTH}} {named}: {escape(reason)}[/]",
            highlight=False,
            soft_wrap=True,
        )


def show_checks(console: Console, checks: tuple[Check, ...]) -> None:
    """Print the checks with their clauses and what they require, for `--list`."""
    for check in checks:
        needs = f" [dim](needs {', '.join(check.requires)})[/]" if check.requires else ""
        console.print(
            f"[bold]{check.id}[/] [dim]{','.join(check.clauses)}[/] {escape(check.title)}{needs}",
            highlight=False,
            soft_wrap=True,
        )
