"""The report as JUnit XML, as continuous integration reads it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Tree

from sagemaker_bidi_contract.report.words import explanation, lines_of
from sagemaker_bidi_contract.verdicts import Finding, Report, Verdict

# Characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: Report) -> str:
    """Write the report; NON-STRICT is a failure only in a strict run."""
    skipped = report.counts[Verdict.SKIPPED]
    suite = Tree.Element(
        "testsuite",
        name="sagemaker-bidi contract",
        hostname=_text(report.target),
        timestamp=report.started,
        time=f"{report.seconds:.3f}",
        tests=str(len(report.findings)),
        failures=str(len(report.failures)),
        errors="0",
        skipped=str(skipped),
    )
    about = Tree.SubElement(suite, "properties")
    said = [
        ("headline", report.headline),
        *(("to make the rest", each) for each in report.commands),
    ]
    for name, value in said:
        Tree.SubElement(about, "property", name=name, value=_text(value))
    for finding in report.findings:
        suite.append(_case(report, finding))
    suites = Tree.Element("testsuites")
    suites.append(suite)
    Tree.indent(suites)
    return Tree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(report: Report, finding: Finding) -> Tree.Element:
    case = Tree.Element(
        "testcase",
        classname=finding.clauses[0],
        name=finding.check,
        time=f"{finding.seconds:.3f}",
    )
    properties = Tree.SubElement(case, "properties")
    for name, value in (("verdict", finding.verdict), ("clauses", " ".join(finding.clauses))):
        Tree.SubElement(properties, "property", name=name, value=value)
    if finding.verdict is Verdict.SKIPPED:
        Tree.SubElement(case, "skipped", message=_text(finding.summary))
    elif report.fails(finding):
        failure = Tree.SubElement(
            case, "failure", type=str(finding.verdict), message=_text(finding.summary)
        )
        failure.text = _text(explanation(finding))
    else:
        Tree.SubElement(case, "system-out").text = _text(
            "\n".join((finding.summary, *lines_of(finding)))
        )
    return case


def _text(text: str) -> str:
    return _NOT_XML.sub("�", text)
