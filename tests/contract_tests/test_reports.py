"""The four reports of one run, with everything in it that a report can hold."""

import io
import json
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from websockets.frames import Close, Frame, Opcode

from sagemaker_bidi_contract.commands import FLAGS, commands_for
from sagemaker_bidi_contract.exchange import Line, beginning, describe, milliseconds
from sagemaker_bidi_contract.options import BackendAddress, Options
from sagemaker_bidi_contract.report.files import write
from sagemaker_bidi_contract.report.html import to_html
from sagemaker_bidi_contract.report.json import to_json
from sagemaker_bidi_contract.report.junit import to_junit
from sagemaker_bidi_contract.report.terminal import show_finding, show_report
from sagemaker_bidi_contract.verdicts import Finding, Report, Verdict

NASTY = "<script>alert('x')</script> & \x00\x1b[31m [bold]"
EXCHANGE = (
    Line(0.001, "session 1", "sent", "text (4 bytes) work"),
    Line(0.002, "session 1", "received", f"text {NASTY}"),
    Line(0.003, "backend", "note", "the backend is dead"),
)


def finding(verdict: Verdict, number: int, **changes: object) -> Finding:
    made = Finding(
        f"container.check-{number}",
        f"check {number}",
        ("F3", "K1"),
        verdict,
        f"summary {number}",
        seconds=0.5,
        exchange=EXCHANGE,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


FAILURE = finding(
    Verdict.FAILED,
    2,
    summary=f"it said {NASTY}",
    expected="better",
    advice="do better",
    defects=(2,),
)
REPORT = Report(
    "ws://127.0.0.1:8080",
    "2026-01-02T03:04:05+00:00",
    1.25,
    False,
    (
        finding(Verdict.OK, 1),
        FAILURE,
        finding(Verdict.NON_STRICT, 3, expected="more"),
        finding(Verdict.INFORMATIONAL, 4),
        finding(Verdict.SKIPPED, 5, summary="it needs --pid", exchange=()),
    ),
)


COMMAND = "bidi check ws://127.0.0.1:8080 --pid PID"
GREEN = replace(REPORT, findings=(REPORT.findings[0], *REPORT.findings[2:]), commands=(COMMAND,))


class TestVerdictOfARun:
    def test_one_failure_fails_it(self) -> None:
        assert (REPORT.passed, REPORT.exit_status) == (False, 1)
        assert REPORT.failures == (FAILURE,)

    def test_non_strict_fails_it_only_where_asked_for(self) -> None:
        (non_strict,) = (item for item in REPORT.findings if item.verdict is Verdict.NON_STRICT)
        loose = replace(REPORT, findings=(non_strict,))
        assert loose.exit_status == 0
        assert replace(loose, strict=True).exit_status == 1

    def test_nothing_but_skipped_checks_is_no_success(self) -> None:
        assert replace(REPORT, findings=REPORT.findings[-1:]).exit_status == 1
        assert replace(REPORT, findings=()).exit_status == 1

    def test_every_verdict_is_counted(self) -> None:
        assert REPORT.counts == dict.fromkeys(Verdict, 1)


class TestJson:
    def test_it_holds_all_that_the_report_holds(self) -> None:
        document = json.loads(to_json(REPORT))
        assert document["passed"] is False
        assert document["counts"]["NON-STRICT"] == 1
        assert document["defects"][0]["number"] == 2
        failure = document["findings"][1]
        assert failure["summary"] == f"it said {NASTY}"
        assert failure["clauses"][0] == {"id": "F3", "provenance": "documented"}
        assert failure["exchange"][0] == {
            "at": 0.001,
            "who": "session 1",
            "direction": "sent",
            "text": "text (4 bytes) work",
        }


class TestJunit:
    def test_it_parses_and_counts(self) -> None:
        suite = ElementTree.fromstring(to_junit(REPORT))[0]
        assert suite.attrib["tests"] == "5"
        assert suite.attrib["failures"] == "1"
        assert suite.attrib["skipped"] == "1"
        assert [case.attrib["name"] for case in suite.findall("testcase[failure]")] == [
            "container.check-2"
        ]
        assert [case.attrib["name"] for case in suite.findall("testcase[skipped]")] == [
            "container.check-5"
        ]

    def test_a_failure_tells_clause_expectation_advice_and_exchange(self) -> None:
        failure = ElementTree.fromstring(to_junit(REPORT)).find(".//failure")
        assert failure is not None
        assert failure.text is not None
        for said in (
            "expected: better",
            "F3 Fragments (documented)",
            "defect 2: ends failures",
            "to do:    do better",
            "session 1  > text (4 bytes) work",
        ):
            assert said in failure.text

    def test_a_strict_run_counts_non_strict_as_a_failure(self) -> None:
        suite = ElementTree.fromstring(to_junit(replace(REPORT, strict=True)))[0]
        assert suite.attrib["failures"] == "2"


class TestWhatWasNotMade:
    """It is counted beside what passed, with the command that would make it."""

    def test_json_and_junit_have_it(self) -> None:
        document = json.loads(to_json(GREEN))
        assert (document["headline"], document["not_made"], document["commands"]) == (
            "3 checks passed, 1 not made",
            1,
            [COMMAND],
        )
        suite = ElementTree.fromstring(to_junit(GREEN))[0]
        found = suite.findall("properties/*")
        said = [(item.attrib["name"], item.attrib["value"]) for item in found]
        assert said == [("headline", GREEN.headline), ("to make the rest", COMMAND)]

    def test_the_page_has_it_under_its_headline(self) -> None:
        text = to_html(GREEN)
        assert '<a href="#not-made">1 of 4 checks were not made.</a> To make them:' in text
        assert f"<pre>{COMMAND}</pre>" in text

    @pytest.mark.parametrize(
        ("options", "needs", "commands"),
        [
            (Options(), set(), ()),
            (Options(), {"session", "echo"}, ()),
            (Options(path="/x"), {"pid", "slow"}, ("--path /x --slow --pid PID",)),
            (
                Options(),
                {"fake-backend", "vllm-realtime", "pid"},
                ("--model-protocol vllm-realtime", "--fake-backend 8081 --pid PID"),
            ),
            (
                Options(fake_backend=BackendAddress("127.0.0.1", 9)),
                {"vllm-realtime"},
                ("--model-protocol vllm-realtime",),
            ),
            (Options(message='{"a": 1}'), {"slow"}, ("--message '{\"a\": 1}' --slow",)),
        ],
    )
    def test_the_command_is_the_runs_with_what_it_lacked(
        self, options: Options, needs: set[str], commands: tuple[str, ...]
    ) -> None:
        assert commands_for("ws://box", options, needs) == tuple(
            f"bidi check ws://box {command}" for command in commands
        )

    def test_every_option_has_its_flag(self) -> None:
        assert set(FLAGS) == {field.name for field in fields(Options)}


class Page(HTMLParser):
    """The elements of a page; complains about one that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


class TestHtml:
    def test_it_is_one_page_that_needs_nothing_else_and_runs_nothing(self) -> None:
        page = Page(to_html(REPORT))
        assert page.open == []
        assert not page.of("script")
        assert not page.of("link")
        assert not [a for _, a in page.seen if "src" in a]
        assert all((a["href"] or "").startswith("#") for a in page.of("a"))

    def test_what_the_target_sent_is_shown_and_not_obeyed(self) -> None:
        text = to_html(REPORT)
        assert "<script" not in text
        assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in text

    def test_failures_are_open_and_the_rest_is_folded(self) -> None:
        details = Page(to_html(REPORT)).of("details")
        opened = {a["id"]: "open" in a for a in details}
        assert opened == {
            "container.check-1": False,
            "container.check-2": True,
            "container.check-3": False,
            "container.check-4": False,
        }

    def test_failures_come_first_with_a_jump_to_each_and_the_filter_on(self) -> None:
        page = Page(to_html(REPORT))
        assert [a["href"] for a in page.of("a")][:2] == ["#not-made", "#container.check-2"]
        assert "checked" in page.of("input")[0]
        assert page.of("details")[0]["id"] == "container.check-2"
        assert "checked" not in Page(to_html(GREEN)).of("input")[0]

    def test_a_clause_is_shown_with_its_words_and_its_provenance(self) -> None:
        text = to_html(REPORT)
        assert '<span class="badge documented"' in text
        assert "is one fragmented message (RFC 6455, 5.4)" in text

    def test_a_skipped_check_is_listed_with_its_reason(self) -> None:
        assert "<p>it needs --pid</p>" in to_html(REPORT)

    @pytest.mark.parametrize(
        ("report", "headline"),
        [
            (REPORT, "1 of 4 checks failed, 1 not made"),
            (replace(REPORT, findings=REPORT.findings[:1]), "1 check passed"),
            (GREEN, "3 checks passed, 1 not made"),
            (replace(REPORT, findings=()), "No check was made"),
        ],
    )
    def test_the_headline_says_how_it_went(self, report: Report, headline: str) -> None:
        assert f"<h1>{headline}</h1>" in to_html(report)


class TestTerminal:
    def shown(self, report: Report) -> str:
        out = io.StringIO()
        console = Console(file=out, width=100, no_color=True)
        for item in report.findings:
            show_finding(console, item)
        show_report(console, report)
        return out.getvalue()

    def test_it_names_the_failure_the_defect_the_reason_to_skip_and_the_counts(self) -> None:
        text = self.shown(REPORT)
        assert "FAILED        container.check-2 F3,K1 it said <script>" in text
        assert "[bold]" in text, "what came from the target is no markup"
        assert "defect 2  ends failures in mid-stream with Close 1000: pass" in text
        assert "SKIPPED       container.check-5: it needs --pid" in text
        assert "1 OK, 1 FAILED, 1 NON-STRICT, 1 INFORMATIONAL, 1 SKIPPED in 1.2 s" in text

    def test_a_control_character_of_the_target_does_not_reach_the_terminal(self) -> None:
        assert "\x1b" not in self.shown(REPORT)

    def test_a_run_without_a_check_says_so(self) -> None:
        assert "No check was made" in self.shown(replace(REPORT, findings=()))


def test_reports_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    wanted = {"html": tmp_path / "a.html", "json": None, "junit": tmp_path / "b.xml"}
    assert write(REPORT, wanted) == [tmp_path / "a.html", tmp_path / "b.xml"]
    assert (tmp_path / "a.html").read_text("utf-8") == to_html(REPORT)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (Frame(Opcode.TEXT, b"hi"), "text (2 bytes) hi"),
        (Frame(Opcode.BINARY, b"\xff\x00", False), "binary (2 bytes, FIN 0) ff 00"),
        (Frame(Opcode.CONT, b""), "continuation (0 bytes)"),
        (Frame(Opcode.PING, b"a"), "ping (1 byte) a"),
        (Frame(Opcode.CLOSE, Close(1011, "boom").serialize()), "Close 1011 'boom'"),
        (Frame(Opcode.CLOSE, b""), "Close with no code"),
        (Frame(Opcode.CLOSE, b"\x03"), "Close that is malformed"),
        (Frame(Opcode.TEXT, b"x" * 2_000), "text (2,000 bytes) xxxxxxxxxxxx…"),
    ],
)
def test_a_frame_is_described_in_words(frame: Frame, words: str) -> None:
    assert describe(frame).startswith(words)


def test_a_payload_can_be_left_out() -> None:
    assert describe(Frame(Opcode.TEXT, b"secret"), payload=False) == "text (6 bytes)"


def test_control_characters_are_shown_as_escapes() -> None:
    assert beginning(b"a\x1b[31m\n") == "a\\x1b[31m\\n"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0032, "3.2 ms"), (0.24, "240 ms"), (1.25, "1.25 s")]
)
def test_times_are_short(seconds: float, words: str) -> None:
    assert milliseconds(seconds) == words
