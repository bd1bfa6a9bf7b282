"""The pages of the catalogue, from the scenarios and from what runs of them have shown."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sagemaker_bidi.contract.ledger import Clause, ledger
from sagemaker_bidi.scenarios import GROUPS, Scenario, scenarios
from sagemaker_bidi.scenarios.written import SYNTAX, option
from tests.scenarios.facts import Facts
from tests.scenarios.runs import Run, run_of


def pages(facts: Facts) -> dict[str, str]:
    """Each page's text by its file's name."""
    made = {f"{each.name}.md": _page(each, facts) for each in scenarios()}
    made["index.md"] = _index()
    return made


def _index() -> str:
    lines = [
        "# The catalogue",
        "",
        "Failures that people meet, by name. `bidi serve --scenario NAME` reproduces one on your "
        "own container, `bidi demo --scenario NAME` shows it on the demo's audio, `bidi scenario "
        "NAME` explains it. What the SDK shows was taken from runs of the real packages.",
        "",
        "Three things hold on every page. Where a call shows nothing, the client watched for some "
        "seconds and gave up: the call would have gone on. A pending `receive()` must not be "
        "cancelled. And on a stream that is over, `input_stream.close()` may never return: put a "
        "time limit on it.",
    ]
    for group, title in GROUPS.items():
        lines += ["", f"## {title}", "", "| Scenario | What happens |", "|---|---|"]
        for each in scenarios():
            if each.group == group:
                needs = f" (needs a {each.needs.replace('-', ' ')})" if each.needs else ""
                lines.append(f"| [{each.name}]({each.name}.md) | {each.title}{needs} |")
    return "\n".join(lines) + "\n"


def _page(scenario: Scenario, facts: Facts) -> str:
    lines = [f"# {scenario.name}", "", f"**{scenario.title}**", "", scenario.what]
    if scenario.needs:
        lines += [
            "",
            f"This scenario needs a {scenario.needs.replace('-', ' ')}: a fault plan cannot reach "
            "into the container.",
        ]
    else:
        lines += ["", "## What the SDK shows", *_shown(scenario, facts)]
    lines += ["", "## Why", "", scenario.why, "", "## What to do", "", scenario.do]
    lines += ["", "## The contract", ""]
    lines += [_clause(ledger().clause(each)) for each in scenario.clauses]
    if not scenario.needs:
        lines += ["", "## Reproduce it", ""]
        lines += [scenario.note, ""] if scenario.note else []
        lines += ["```sh", scenario.command, "```"]
        lines += ["", "In a test:", "", "```python", scenario.test_line, "```"]
    if scenario.parameters:
        lines += ["", "| Parameter | Default | Is |", "|---|---|---|"]
        lines += [
            f"| `{each.name}` | `{_default(each.default)}` | {each.meaning} |"
            for each in scenario.parameters.values()
        ]
        lines += ["", f"With parameters: `{option(scenario)}`. {SYNTAX}"]
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    return "all" if value is None else json.dumps(value)


def _clause(clause: Clause) -> str:
    kept = (c for c in f"{clause.id} {clause.title}".lower() if c.isalnum() or c in " -")
    anchor = "".join(kept).replace(" ", "-")
    return f"- [{clause.id} {clause.title}](../contract.md#{anchor}), {clause.provenance}"


def _shown(scenario: Scenario, facts: Facts) -> Iterator[str]:
    run, seen = run_of(scenario), facts["scenarios"][scenario.name]
    played = [run.client]
    if run.parameters:
        given = ", ".join(f"`{name} = {value:g}`" for name, value in run.parameters.items())
        played.append(f"Run with {given}.")
    yield from ("", " ".join(played))
    releases = {name: facts["versions"][name] for name in seen}
    first, *others = seen.values()
    if all(other == first for other in others):
        yield from ("", f"### SDK {' and '.join(releases.values())}", "")
        yield from _release(first, run)
        return
    for name, version in releases.items():
        yield from ("", f"### SDK {version}", "")
        yield from _release(seen[name], run)


def _release(seen: Facts, run: Run) -> Iterator[str]:
    names = ["The first stream", "The second stream"] if run.streams > 1 else ["", "Invoked again"]
    for name, entries in zip(names, seen["client"], strict=False):
        if name:
            yield from (f"{name}:", "")
        for number, entry in enumerate(entries, 1):
            yield f"{number}. {_entry(entry, run)}"
        yield ""
    yield " ".join(_emulators_view(seen))


def _entry(entry: Facts, run: Run) -> str:
    call = {"send": "`input_stream.send()`"}.get(entry["at"], f"`{entry['at']}()`")
    if after := entry.get("after"):
        call = f"After {after}, {call}"
    match entry["saw"]:
        case "PayloadPart":
            return f"{call} returns {_parts(entry)}."
        case "exception":
            return f"{call} raises {_exception(entry)}."
        case "end of stream":
            return f"{call} returns `None`: the end of the stream."
        case "nothing":
            return f"{call} shows nothing; watched for {run.patience:g} s."
        case event:
            return f"{call} returns `{event}`, tag `{entry['tag']}`."


def _parts(entry: Facts) -> str:
    count, kind = entry.get("count", 0), entry.get("type")
    if kind is None:
        return f"{f'{count} parts' if count > 1 else 'a part'} (`{entry['data_type']}`)"
    what = f"`{kind}`" if count == 1 else f"several `{kind}`"
    if "text" not in entry:
        return what
    return f"{what}: {_quoted(entry['text'].strip()) if entry['text'] else 'all empty'}"


def _exception(entry: Facts) -> str:
    text = f"`{entry['type']}`: {_quoted(entry['message'])}"
    for name, value in entry.get("fields", {}).items():
        text += f", `{name}` {_quoted(value) if isinstance(value, str) else f'`{value}`'}"
    return text


def _quoted(text: str) -> str:
    return f"`{text}`" if "`" not in text else f"`` {text} ``"


def _emulators_view(seen: Facts) -> Iterator[str]:
    ended = seen.get("ended_by")
    if not ended:
        yield "No session was opened."
    elif set(ended) == {"open"}:
        yield "For the emulator the session stays open."
    else:
        yield f"In the emulator's log: ended by the {', then by the '.join(ended)}."
    if closes := seen.get("close_for_the_container"):
        yield f"The container got Close {', '.join(f'`{close}`' for close in closes)}."
    if seconds := seen.get("emulated_seconds"):
        yield f"The session lasted {', '.join(map(str, seconds))} s of the emulator's time."
    if (trip := seen.get("round_trip_at_least")) is not None:
        yield f"Each answer came {trip:g} s or more after its part."
    if seen.get("output_lost"):
        yield "Results of the container's were lost."
    for metering in seen.get("metering", ()):
        counted = ", ".join(f"{units:g} `{name}`" for name, units in metering.items())
        yield f"Metered: {counted}."
