"""A finding in plain text, for reports that have no layout."""

from __future__ import annotations

from sagemaker_bidi.contract.ledger import ledger
from sagemaker_bidi_contract.defects import DEFECTS
from sagemaker_bidi_contract.verdicts import Finding

_SIGNS = {"sent": ">", "received": "<", "note": "="}


def explanation(finding: Finding) -> str:
    """What was found, what was expected by which clause, what to do, and the exchange."""
    parts = [f"{finding.title}: {finding.verdict}", f"found:    {finding.summary}"]
    if finding.expected:
        parts.append(f"expected: {finding.expected}")
    for clause_id in finding.clauses:
        clause = ledger().clause(clause_id)
        parts.append(f"clause:   {clause.id} {clause.title} ({clause.provenance})")
    for number in finding.defects:
        defect = DEFECTS[number]
        parts.append(f"defect {number}: {defect.title}; {defect.advice}")
    if finding.advice:
        parts.append(f"to do:    {finding.advice}")
    if finding.exchange:
        parts += ["", "> sent by the suite, < received from the target", *lines_of(finding)]
    return "\n".join(parts)


def lines_of(finding: Finding) -> list[str]:
    """The exchange, a line each, with seconds since the check began."""
    return [
        f"{line.at:8.3f}  {line.who:<10} {_SIGNS[line.direction]} {line.text}"
        for line in finding.exchange
    ]
