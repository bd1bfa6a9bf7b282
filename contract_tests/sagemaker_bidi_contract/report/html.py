"""The report as one HTML file that needs nothing else: failures first, each with its exchange."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from importlib.resources import files

from sagemaker_bidi.contract.ledger import PROVENANCES, Clause, ledger
from sagemaker_bidi_contract.defects import DEFECTS
from sagemaker_bidi_contract.verdicts import Finding, Report, Verdict

_SIGNS = {"sent": "→", "received": "←", "note": "·"}
_WORDS = {
    Verdict.OK: "keeps the rule",
    Verdict.FAILED: "breaks it",
    Verdict.NON_STRICT: "allowed, and unlike the real thing",
    Verdict.INFORMATIONAL: "no rule; this is what it does",
    Verdict.SKIPPED: "not made",
}

type _Clauses = list[tuple[Clause, list[Finding]]]


def to_html(report: Report) -> str:
    """Write the page; whatever came from the target is escaped."""
    # Not at the top: the command line loads this file whatever it is asked for.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    here = files("sagemaker_bidi_contract.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    environment.filters |= {
        "css": lambda verdict: verdict.lower().replace("-", ""),
        "rich": lambda text: Markup(_rich(text)),
        "settled": _settled,
    }
    template = environment.from_string(here.joinpath("report.html.j2").read_text("utf-8"))
    return template.render(
        report=report,
        css=here.joinpath("report.css").read_text("utf-8"),
        defects=DEFECTS,
        groups=sorted(_groups(report), key=lambda group: not _any_fails(report, group[1])),
        skipped=_skipped(report),
        provenances=PROVENANCES,
        signs=_SIGNS,
        verdicts=_WORDS,
    )


def _groups(report: Report) -> Iterator[tuple[str, _Clauses]]:
    """The clauses of each group with what was made of them, those that fail first."""
    made: dict[str, list[Finding]] = {}
    for finding in report.findings:
        if finding.verdict is not Verdict.SKIPPED:
            made.setdefault(finding.clauses[0], []).append(finding)
    for letter, name in ledger().groups.items():
        clauses = [
            (clause, sorted(made[clause.id], key=lambda found: not report.fails(found)))
            for clause in ledger()
            if clause.group == letter and clause.id in made
        ]
        if clauses:
            yield name, sorted(clauses, key=lambda each: not _any_fails(report, [each]))


def _any_fails(report: Report, clauses: _Clauses) -> bool:
    return any(report.fails(finding) for _, findings in clauses for finding in findings)


def _settled(findings: list[Finding]) -> bool:
    return all(item.verdict in (Verdict.OK, Verdict.INFORMATIONAL) for item in findings)


def _skipped(report: Report) -> dict[str, list[Finding]]:
    reasons: dict[str, list[Finding]] = {}
    for finding in report.findings:
        if finding.verdict is Verdict.SKIPPED:
            reasons.setdefault(finding.summary, []).append(finding)
    return reasons


def _rich(text: str) -> str:
    """Escape a text of the suite's own and set `code` in it."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
