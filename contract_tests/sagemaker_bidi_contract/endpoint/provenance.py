"""What it means when an endpoint does something else: that depends on how a rule is known."""

from __future__ import annotations

from sagemaker_bidi.contract.ledger import ledger
from sagemaker_bidi_contract.verdicts import Outcome, failed, informational, non_strict


def departs(clause_id: str, summary: str, *, expected: str, advice: str = "") -> Outcome:
    """The outcome for an endpoint that does not follow a clause.

    FAILED where AWS documents the rule. Where it was only reported, or publications disagree, the
    endpoint may be right and the report wrong: NON-STRICT. Where it is our assumption, what was
    seen is the news: INFORMATIONAL.

    Args:
        clause_id: the rule.
        summary: what the endpoint did.
        expected: what the rule says.
        advice: what its developer can do about it.

    Raises:
        LedgerError: no clause has that id.
    """
    clause = ledger().clause(clause_id)
    match clause.provenance:
        case "documented":
            return failed(summary, expected=expected, advice=advice)
        case "reported" | "conflict":
            said = f"{expected} ({clause.provenance}, not documented)"
            return non_strict(summary, expected=said, advice=advice)
        case "assumed":
            return informational(f"{summary}; the emulator's assumption is {expected}")
