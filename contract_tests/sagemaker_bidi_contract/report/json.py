"""The report as JSON, for programs."""

from __future__ import annotations

import json
from dataclasses import asdict

from sagemaker_bidi.contract.ledger import ledger
from sagemaker_bidi_contract.defects import DEFECTS
from sagemaker_bidi_contract.verdicts import Finding, Report

FORMAT = 1


def to_json(report: Report) -> str:
    """Write the report; `format` grows when a field changes its meaning or goes."""
    document = {
        "format": FORMAT,
        "target": report.target,
        "started": report.started,
        "seconds": round(report.seconds, 3),
        "strict": report.strict,
        "passed": report.passed,
        "headline": report.headline,
        "not_made": report.unmade,
        "commands": list(report.commands),
        "counts": {str(verdict): count for verdict, count in report.counts.items()},
        "defects": [
            {"number": number, "title": DEFECTS[number].title, "advice": DEFECTS[number].advice}
            for number in report.defects
        ],
        "findings": [_finding(finding) for finding in report.findings],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _finding(finding: Finding) -> dict[str, object]:
    clauses = [ledger().clause(clause_id) for clause_id in finding.clauses]
    return {
        "check": finding.check,
        "title": finding.title,
        "clauses": [{"id": clause.id, "provenance": clause.provenance} for clause in clauses],
        "verdict": str(finding.verdict),
        "summary": finding.summary,
        "expected": finding.expected,
        "advice": finding.advice,
        "defects": list(finding.defects),
        "seconds": round(finding.seconds, 3),
        "exchange": [asdict(line) for line in finding.exchange],
    }
