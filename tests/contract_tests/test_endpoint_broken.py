"""The endpoint checks on endpoints that break one rule: found, at its clause, with the exchange."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi.faults.kinds.corrupt import Corrupt
from sagemaker_bidi.faults.kinds.drop import Drop
from sagemaker_bidi.faults.kinds.duplicate import Duplicate
from sagemaker_bidi.faults.kinds.goaway import Goaway
from sagemaker_bidi.faults.kinds.inject_event import InjectEvent
from sagemaker_bidi.faults.kinds.never_headers import NeverHeaders
from sagemaker_bidi.faults.kinds.refuse import Refuse
from sagemaker_bidi.faults.kinds.replace import Replace
from sagemaker_bidi.faults.kinds.reset_stream import ResetStream
from sagemaker_bidi.faults.kinds.tcp_reset import TcpReset
from sagemaker_bidi.faults.kinds.truncate import Truncate
from sagemaker_bidi.faults.plan import Rule
from sagemaker_bidi_contract.endpoint import chunks, opening
from sagemaker_bidi_contract.verdicts import Finding, Verdict
from tests.contract_tests.endpoints import check, check_one, emulated, environment, rule
from tests.contract_tests.other_endpoint import Ways, other_endpoint
from tests.contract_tests.running import unused_port

KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
FAILED, NON_STRICT = Verdict.FAILED, Verdict.NON_STRICT


async def found_by(check_id: str, *rules: Rule, **config: Any) -> Finding:
    async with emulated(None, *rules, **config) as emulator:
        return await check_one(emulator.url, check_id)


@pytest.mark.parametrize(
    ("broken", "check_id", "clause", "says"),
    [
        (rule(Corrupt("payload")), "endpoint.binary-part", "F2", "with another byte at"),
        (rule(Corrupt("message-crc")), "endpoint.part-headers", "W3", "ChecksumMismatch"),
        (rule(Corrupt("prelude-crc")), "endpoint.part-headers", "W3", "prelude's CRC-32 is wrong"),
        (rule(Corrupt("header")), "endpoint.part-headers", "W3", "cannot be decoded"),
        (rule(Truncate(20)), "endpoint.part-headers", "W3", "ends 20 bytes into a message"),
        (rule(Drop(), after=2, times=1), "endpoint.many-parts", "F1", "part 3 of 300 came back as"),
        (
            rule(Duplicate(), after=2, times=1),
            "endpoint.empty-parts",
            "F1",
            "more than 3 parts came back",
        ),
        (
            rule(Replace(data_type="BINARY"), point="from-container"),
            "endpoint.text-part",
            "F2",
            "came back as PayloadPart (BINARY, COMPLETE, 3 bytes) one",
        ),
        (
            rule(Replace(text="something else"), point="to-container"),
            "endpoint.invalid-utf8",
            "F1",
            "something else",
        ),
        (rule(ResetStream(), after=1), "endpoint.many-parts", "F1", "RST_STREAM INTERNAL_ERROR"),
        (rule(TcpReset(), after=1), "endpoint.many-parts", "F1", "the TCP connection failed"),
    ],
    ids=lambda value: value.fault.name if isinstance(value, Rule) else None,
)
async def test_a_broken_rule_is_failed_at_its_clause(
    broken: Rule, check_id: str, clause: str, says: str
) -> None:
    finding = await found_by(check_id, broken)
    assert (finding.verdict, finding.clauses[0]) == (FAILED, clause), finding.summary
    assert says in finding.summary
    assert finding.expected
    assert any("PayloadPart" in line for line in finding.sent)
    assert any("HTTP 200" in line for line in finding.received)


async def test_a_container_error_that_stays_a_frame_is_non_strict() -> None:
    finding = await found_by("endpoint.error-frame", contract={"error_frames": False})
    assert (finding.verdict, finding.clauses[0]) == (NON_STRICT, "E4")
    assert "it came as a part like any other" in finding.summary


async def test_a_reset_of_the_open_input_is_non_strict() -> None:
    finding = await found_by("endpoint.input-after-end", contract={"reset_open_input": True})
    assert (finding.verdict, finding.clauses[0]) == (NON_STRICT, "E8")
    assert "then RST_STREAM NO_ERROR" in finding.summary


async def test_messages_put_together_are_non_strict_because_publications_disagree() -> None:
    finding = await found_by("endpoint.fragments", contract={"reassemble": True})
    assert finding.verdict is NON_STRICT
    assert "came back as one message" in finding.summary
    assert "conflict, not documented" in finding.expected


async def test_a_throttle_of_429_is_non_strict_because_400_was_only_reported() -> None:
    refuse = rule(Refuse(429, "ThrottlingException", "Rate exceeded"), point="opening", after=1)
    async with emulated(None, refuse) as emulator:
        report = await check(emulator.url, "endpoint.throttling", allow_cost=True)
    (finding,) = report.findings
    assert finding.verdict is NON_STRICT
    assert "HTTP 429 ThrottlingException" in finding.summary


async def test_an_end_without_an_error_is_news_where_the_error_is_an_assumption() -> None:
    finding = await found_by("endpoint.chunk-crc", contract={"reset_after_error": True})
    assert finding.verdict is Verdict.INFORMATIONAL
    assert "RST_STREAM" in finding.summary
    assert "the emulator's assumption is" in finding.summary


async def test_bad_input_that_ends_the_whole_connection_is_failed() -> None:
    """A GOAWAY does not end streams; the connection's end does."""
    finding = await found_by("endpoint.data-type", rule(TcpReset(), kind="error"))
    assert finding.verdict is FAILED
    assert "the connection is dead" in finding.summary
    assert finding.expected == "the other streams go on"


async def test_a_goaway_alone_is_seen_and_kills_nothing() -> None:
    finding = await found_by("endpoint.text-part", rule(Goaway(), point="opened"))
    assert any("GOAWAY" in line for line in finding.received)


async def test_an_unknown_event_in_place_of_a_part_is_named() -> None:
    injected = rule(InjectEvent(type="Surprise", text="{}"), point="to-client", times=1)
    finding = await found_by("endpoint.text-part", injected)
    assert finding.verdict is FAILED
    assert "Surprise" in finding.summary


class TestAnotherEndpoint:
    """One that echoes whatever it is sent, and is no SageMaker."""

    async def on(self, ways: Ways, folder: Path, *checks: str) -> tuple[Finding, ...]:
        with environment(KEYS):
            async with other_endpoint(ways, folder) as other:
                return (await check(other.url, *checks, ca=other.ca, behind="echo")).findings

    async def test_it_loses_nothing_at_the_half_close_and_is_too_kind(self, tmp_path: Path) -> None:
        (finding,) = await self.on(Ways(), tmp_path, "endpoint.half-close")
        assert finding.verdict is FAILED
        assert "300 of 300 parts came back" in finding.summary
        assert "loses its last words on AWS" in finding.advice

    async def test_a_200_that_waits_for_input_is_non_strict(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(opening, "_HEADERS_FIRST_SECONDS", 0.3)
        ways = Ways(waits_for_input=True)
        (finding,) = await self.on(ways, tmp_path, "endpoint.opens")
        assert finding.verdict is NON_STRICT
        assert "after a first event came HTTP 200" in finding.summary

    async def test_input_that_makes_a_stream_hang_is_failed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chunks, "_END_SECONDS", 0.3)
        (finding,) = await self.on(Ways(hangs_on=b"UTF16"), tmp_path, "endpoint.data-type")
        assert finding.verdict is FAILED
        assert "the stream hangs" in finding.summary

    async def test_input_that_is_taken_is_news(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chunks, "_END_SECONDS", 0.3)
        (finding,) = await self.on(Ways(), tmp_path, "endpoint.data-type")
        assert finding.verdict is Verdict.INFORMATIONAL
        assert "it was taken without an error" in finding.summary

    async def test_an_open_door_is_failed(self, tmp_path: Path) -> None:
        checks = ("endpoint.not-signed", "endpoint.leading-slash", "endpoint.no-such-endpoint")
        findings = await self.on(Ways(), tmp_path, *checks)
        assert [(item.check, item.verdict) for item in findings] == [
            (check_id, FAILED) for check_id in checks
        ]
        unsigned = findings[0]
        assert "the stream opened" in unsigned.summary
        assert any("not signed" in line for line in unsigned.sent)

    @pytest.mark.parametrize(
        ("header", "check_id", "clause"),
        [
            ("content-type", "endpoint.content-type", "W1"),
            ("x-amzn-requestid", "endpoint.request-id", "O7"),
            ("x-amzn-invoked-production-variant", "endpoint.invoked-variant", "W2"),
        ],
    )
    async def test_a_header_that_is_left_out_is_failed_at_its_clause(
        self, header: str, check_id: str, clause: str, tmp_path: Path
    ) -> None:
        (finding,) = await self.on(Ways(forgets=header), tmp_path, check_id)
        assert (finding.verdict, finding.clauses[0]) == (FAILED, clause)


class TestOneClearFailure:
    """What stands in the way of everything is one failure, and no row of them."""

    def only(self, findings: tuple[Finding, ...]) -> Finding:
        (failure,) = (item for item in findings if item.verdict is FAILED)
        return failure

    async def test_nothing_listens(self) -> None:
        port = unused_port()
        async with emulated():
            report = await check(f"https://127.0.0.1:{port}", behind="echo")
        failure = self.only(report.findings)
        assert f"nothing listens at 127.0.0.1:{port} (Connection refused)" in failure.summary
        assert report.ran == 1

    async def test_the_certificate_is_not_trusted(self) -> None:
        async with emulated(entrance="untrusted") as emulator:
            report = await check(emulator.url, behind="echo")
        assert "a certificate that is not trusted" in self.only(report.findings).summary
        assert "--ca FILE" in self.only(report.findings).summary
        assert report.ran == 1

    async def test_it_speaks_http1(self) -> None:
        async with emulated(entrance="http1") as emulator:
            report = await check(emulator.url, behind="echo")
        assert (
            "does not speak HTTP/2: ALPN settled on http/1.1" in self.only(report.findings).summary
        )
        assert report.ran == 1

    async def test_it_speaks_no_tls(self) -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server, emulated():
            port = server.sockets[0].getsockname()[1]
            report = await check(f"https://127.0.0.1:{port}", behind="echo")
        assert "does not speak TLS" in self.only(report.findings).summary
        assert report.ran == 1

    async def test_the_secret_is_wrong(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with emulated() as emulator:
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
            report = await check(emulator.url, behind="echo")
        failure = self.only(report.findings)
        assert failure.check == "endpoint.opens"
        assert "HTTP 403 InvalidSignatureException" in failure.summary
        assert failure.advice == "check credentials, region, and this machine's clock"

    async def test_there_are_no_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with emulated() as emulator:
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
            report = await check(emulator.url, behind="echo")
        assert "no AWS credentials" in self.only(report.findings).summary
        assert report.ran == 1

    async def test_there_is_no_such_endpoint(self) -> None:
        async with emulated() as emulator:
            report = await check(emulator.url, behind="echo", endpoint_name="another")
        failure = self.only(report.findings)
        assert "HTTP 400 ValidationError" in failure.summary
        assert "--endpoint-name" in failure.advice

    async def test_headers_never_come(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(opening, "_HEADERS_FIRST_SECONDS", 0.3)
        monkeypatch.setattr(opening, "ANSWER_SECONDS", 0.3)
        async with emulated(None, rule(NeverHeaders(), point="opening")) as emulator:
            report = await check(
                emulator.url, "endpoint.opens", "endpoint.text-part", "endpoint.content-type"
            )
        failure = self.only(report.findings)
        assert "the response's headers did not come within 0.3 s" in failure.summary

    async def test_without_the_check_that_opens_the_first_that_needs_a_stream_fails(self) -> None:
        async with emulated(
            None, rule(Refuse(503, "ServiceUnavailableError", "busy"), point="opening")
        ) as emulator:
            report = await check(
                emulator.url, "endpoint.content-type", "endpoint.request-id", "endpoint.not-signed"
            )
        verdicts = [item.verdict for item in report.findings]
        assert verdicts == [FAILED, Verdict.SKIPPED, Verdict.OK]
        assert "HTTP 503 ServiceUnavailableError" in report.findings[0].summary
        assert any("HTTP 503" in line for line in report.findings[0].received)
