"""The report as one HTML file that needs nothing else: by clause, each check with its exchange."""

from __future__ import annotations

import re
from collections.abc import Iterable
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


def to_html(report: Report) -> str:
    """Write the page; whatever came from the target is escaped."""
    css = files("sagemaker_bidi_contract.report").joinpath("report.css").read_text("utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(_headline(report))}: {escape(report.target)}</title>
<style>
{css}</style>
</head>
<body>
{_header(report)}
<main>
{_defects(report)}{_by_clause(report)}{_skipped(report)}</main>
<footer>Verdicts: {_legend()}. Provenance: {_provenances()}.</footer>
</body>
</html>
"""


def _headline(report: Report) -> str:
    failures = len(report.failures)
    if not report.ran:
        return "No check was made"
    if failures:
        return f"{failures} of {report.ran} checks failed"
    return f"All {report.ran} checks passed"


def _header(report: Report) -> str:
    state = "passed" if report.passed else "failed"
    chips = "".join(
        f'<li class="{_css(verdict)}"><b>{count}</b> {verdict}</li>'
        for verdict, count in report.counts.items()
        if count
    )
    strict = ", NON-STRICT counts as a failure" if report.strict else ""
    return f"""<header class="{state}">
<p class="kicker">SageMaker bidirectional streaming · contract report</p>
<h1>{escape(_headline(report))}</h1>
<p class="target"><code>{escape(report.target)}</code></p>
<p class="when"><time datetime="{escape(report.started)}">{escape(report.started)}</time>,
 {report.seconds:.1f} s{strict}</p>
<ul class="chips">{chips}</ul>
<label class="only"><input type="checkbox" id="only"> Only what needs a look</label>
</header>"""


def _defects(report: Report) -> str:
    if not report.defects:
        return ""
    items = "".join(
        f'<li value="{number}"><b>{_rich(DEFECTS[number].title)}</b>'
        f"<span>{_rich(DEFECTS[number].advice)}</span> {_seen_in(report, number)}</li>"
        for number in report.defects
    )
    return f"""<section class="defects">
<h2>Defects of the reference bridge that this container shows</h2>
<ol>{items}</ol>
</section>
"""


def _seen_in(report: Report, number: int) -> str:
    links = ", ".join(
        f'<a href="#{escape(finding.check)}">{escape(finding.check)}</a>'
        for finding in report.findings
        if number in finding.defects
    )
    return f'<span class="seen">seen in {links}</span>'


def _by_clause(report: Report) -> str:
    made = [finding for finding in report.findings if finding.verdict is not Verdict.SKIPPED]
    sections = []
    for letter, name in ledger().groups.items():
        clauses = [
            (clause, found)
            for clause in ledger()
            if clause.group == letter
            and (found := [item for item in made if item.clauses[0] == clause.id])
        ]
        if clauses:
            body = "".join(_clause(report, clause, found) for clause, found in clauses)
            sections.append(f'<section class="group"><h2>{escape(name)}</h2>\n{body}</section>\n')
    return "".join(sections)


def _clause(report: Report, clause: Clause, findings: list[Finding]) -> str:
    good = all(finding.verdict in (Verdict.OK, Verdict.INFORMATIONAL) for finding in findings)
    settled = " settled" if good else ""
    rows = "".join(_finding(report, finding) for finding in findings)
    return f"""<article class="clause{settled}" id="{clause.id}">
<h3><span class="id">{clause.id}</span> {escape(clause.title)} {_badge(clause)}</h3>
<p class="statement">{_rich(clause.statement)}</p>
{rows}</article>
"""


def _badge(clause: Clause) -> str:
    title = escape(f"{PROVENANCES[clause.provenance]}: {clause.source}")
    return f'<span class="badge {clause.provenance}" title="{title}">{clause.provenance}</span>'


def _finding(report: Report, finding: Finding) -> str:
    opened = " open" if report.fails(finding) else ""
    others = "".join(f' <span class="also">{other}</span>' for other in finding.clauses[1:])
    kind = _css(finding.verdict)
    return f"""<details class="finding {kind}" id="{escape(finding.check)}"{opened}>
<summary><span class="verdict">{finding.verdict}</span>
<span class="title">{escape(finding.title)}{others}</span>
<span class="found">{escape(finding.summary)}</span></summary>
<div class="more">{_facts(finding)}{_exchange(finding)}</div>
</details>
"""


def _facts(finding: Finding) -> str:
    rows = [("check", f"<code>{escape(finding.check)}</code>, {finding.seconds:.2f} s")]
    if finding.expected:
        rows.append(("expected", _rich(finding.expected)))
    rows += [(f"defect {number}", _rich(DEFECTS[number].title)) for number in finding.defects]
    if finding.advice:
        rows.append(("what to do", _rich(finding.advice)))
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows) + "</dl>"


def _exchange(finding: Finding) -> str:
    if not finding.exchange:
        return ""
    rows = "".join(
        f'<tr class="{line.direction}"><td>{line.at * 1_000:,.1f}</td><td>{escape(line.who)}</td>'
        f"<td>{_SIGNS[line.direction]}</td><td>{escape(line.text)}</td></tr>"
        for line in finding.exchange
    )
    return f"""<div class="exchange"><table>
<thead><tr><th>ms</th><th>on</th><th></th><th>sent (→) and received (←)</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _skipped(report: Report) -> str:
    reasons: dict[str, list[Finding]] = {}
    for finding in report.findings:
        if finding.verdict is Verdict.SKIPPED:
            reasons.setdefault(finding.summary, []).append(finding)
    if not reasons:
        return ""
    items = "".join(
        f"<li><p>{_rich(reason)}</p><ul>{_titles(found)}</ul></li>"
        for reason, found in reasons.items()
    )
    return f'<section class="skipped"><h2>Not made</h2><ul>{items}</ul></section>\n'


def _titles(findings: Iterable[Finding]) -> str:
    return "".join(
        f"<li><code>{escape(finding.check)}</code> {escape(finding.title)}"
        f' <span class="also">{escape(" ".join(finding.clauses))}</span></li>'
        for finding in findings
    )


def _legend() -> str:
    return "; ".join(f"{verdict} {words}" for verdict, words in _WORDS.items())


def _provenances() -> str:
    return "; ".join(f"{word}: {escape(meaning)}" for word, meaning in PROVENANCES.items())


def _css(verdict: Verdict) -> str:
    return verdict.lower().replace("-", "")


def _rich(text: str) -> str:
    """Escape a text of the suite's own and set `code` in it."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
