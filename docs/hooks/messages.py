"""The SDK's error messages, as runs have shown them, and the scenarios that showed each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.scenarios.facts import Facts

# What is another one each time: ids, addresses, checksums.
_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|127\.0\.0\.1:\d+")


def messages(facts: Facts) -> str:
    """A table of them in Markdown, by their text."""
    rows: dict[tuple[str, str], set[str]] = {}
    for scenario, releases in facts["scenarios"].items():
        for kind, text in _raised(releases):
            rows.setdefault((_VARYING.sub("…", text), kind), set()).add(scenario)
    lines = ["| Message | Type | Scenarios |", "|---|---|---|"]
    for (text, kind), names in sorted(rows.items()):
        shown = text.replace("|", "\\|").replace("\n", " ") or "(empty)"
        linked = ", ".join(f"[{name}](scenarios/{name}.md)" for name in sorted(names))
        lines.append(f"| {_code(shown)} | `{kind}` | {linked} |")
    return "\n".join(lines)


def _raised(releases: Facts) -> Iterator[tuple[str, str]]:
    for seen in releases.values():
        for stream in seen["client"]:
            for entry in stream:
                if entry["saw"] == "exception":
                    yield entry["type"], entry["message"]


def _code(text: str) -> str:
    return f"`{text}`" if "`" not in text else f"`` {text} ``"
