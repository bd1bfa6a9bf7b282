"""The endpoint checks on the emulator: what it promises, it keeps, by both legs."""

import pytest

from sagemaker_bidi_contract.endpoint.run import endpoint_checks
from sagemaker_bidi_contract.verdicts import Verdict
from sagemaker_bidi_fixtures.containers.misbehaving import (
    CloseAfter,
    MisbehavingContainer,
    NeverPong,
    RefuseUpgrade,
)
from tests.contract_tests.endpoints import check, check_one, emulated
from tests.contract_tests.running import told

SKIPPED_WITH_ECHO = {
    "endpoint.upgrade-refused",
    "endpoint.throttling",
    "endpoint.container-close",
    "endpoint.idle",
    "endpoint.missed-pongs",
    "endpoint.lifetime",
    *(each.id for each in endpoint_checks() if {"obeying", "variants"} & set(each.requires)),
    *(each.id for each in endpoint_checks() if each.id.startswith("endpoint.unseen-")),
}


async def test_the_emulator_keeps_every_rule_with_an_echo_container_behind() -> None:
    async with emulated(region="us-east-1", unknown_keys="refuse") as emulator:
        report = await check(emulator.url, behind="echo")
    assert told(report, Verdict.FAILED, Verdict.NON_STRICT) == []
    assert report.exit_status == 0
    found = {item.check for item in report.findings if item.verdict is Verdict.SKIPPED}
    assert found == SKIPPED_WITH_ECHO
    informed = {item.check for item in report.findings if item.verdict is Verdict.INFORMATIONAL}
    assert informed == {"endpoint.port-443", "endpoint.end-stream-alone"}


async def test_its_lenient_defaults_are_non_strict_and_name_the_setting() -> None:
    async with emulated() as emulator:
        key = await check_one(emulator.url, "endpoint.unknown-key")
        region = await check_one(emulator.url, "endpoint.other-region")
    assert (key.verdict, region.verdict) == (Verdict.NON_STRICT, Verdict.NON_STRICT)
    assert 'unknown_keys = "refuse"' in key.advice
    assert "region" in region.advice
    assert "reported, not documented" in key.expected


async def test_what_needs_an_echo_container_is_skipped_without_one() -> None:
    async with emulated(MisbehavingContainer(CloseAfter(1, 1011, "enough"))) as emulator:
        report = await check(emulator.url, behind="closing")
    assert told(report, Verdict.FAILED) == []
    (closed,) = (item for item in report.findings if item.check == "endpoint.container-close")
    assert closed.verdict is Verdict.OK
    assert "ModelStreamError" in closed.summary
    skipped = [item for item in report.findings if "--behind echo" in item.summary]
    assert {item.verdict for item in skipped} == {Verdict.SKIPPED}
    assert "endpoint.text-part" in {item.check for item in skipped}


async def test_a_container_that_refuses_is_a_424_as_reported() -> None:
    async with emulated(MisbehavingContainer(RefuseUpgrade(503))) as emulator:
        finding = await check_one(emulator.url, "endpoint.upgrade-refused", behind="refusing")
    assert finding.verdict is Verdict.OK
    assert "HTTP 424 ModelError" in finding.summary


@pytest.mark.clause("K1", "K2", "K3")
async def test_minutes_pass_in_seconds_on_a_scaled_clock() -> None:
    scale = 600.0
    waits = {"behind": "echo", "slow": True, "time_scale": scale}
    async with emulated(time_scale=scale) as emulator:
        report = await check(emulator.url, "endpoint.idle", "endpoint.lifetime", **waits)
    assert [item.verdict for item in report.findings] == [Verdict.OK] * 2, told(report, *Verdict)
    assert "open after 390 s of silence" in report.findings[0].summary
    assert "ModelInvocationTimeExceeded" in report.findings[1].summary


@pytest.mark.clause("K1")
async def test_a_container_that_never_pongs_is_given_up_in_time() -> None:
    async with emulated(MisbehavingContainer(NeverPong()), time_scale=300.0) as emulator:
        finding = await check_one(
            emulator.url, "endpoint.missed-pongs", behind="never-pong", slow=True, time_scale=300.0
        )
    assert finding.verdict is Verdict.OK, finding.summary
    assert "StreamBroken" in finding.summary


@pytest.mark.parametrize(
    ("check_id", "options", "says"),
    [
        ("endpoint.lifetime", {"slow": True}, "--allow-cost, or say how fast"),
        ("endpoint.idle", {}, "--slow"),
        ("endpoint.throttling", {}, "--allow-cost"),
        ("endpoint.missed-pongs", {}, "--behind never-pong"),
    ],
)
async def test_what_takes_long_or_costs_is_skipped_and_says_what_to_give(
    check_id: str, options: dict[str, bool], says: str
) -> None:
    async with emulated() as emulator:
        finding = await check_one(emulator.url, check_id, **options)
    assert finding.verdict is Verdict.SKIPPED
    assert says in finding.summary


async def test_many_streams_at_once_are_counted_where_that_is_allowed() -> None:
    async with emulated() as emulator:
        finding = await check_one(emulator.url, "endpoint.throttling", allow_cost=True)
    assert finding.verdict is Verdict.INFORMATIONAL
    assert finding.summary == "200 streams at once: 200 x HTTP 200"


async def test_with_a_key_that_the_emulator_does_not_know_signatures_are_news() -> None:
    """The changed bytes are right in all but their signature: an emulator takes them then."""
    async with emulated() as emulator:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODYELSE0000")
            chunk = await check_one(emulator.url, "endpoint.chunk-changed")
            request = await check_one(emulator.url, "endpoint.bad-signature")
    assert chunk.verdict is Verdict.INFORMATIONAL
    assert "it was taken without an error" in chunk.summary
    assert "keys that it knows" in chunk.summary
    assert request.verdict is Verdict.NON_STRICT
    assert "[[credentials]]" in request.advice


async def test_every_stream_of_a_check_is_ended_by_it() -> None:
    async with emulated() as emulator:
        await check(emulator.url, "endpoint.text-part", "endpoint.cancel", behind="echo")
        assert [session.closed_by for session in emulator.sessions] == ["client"] * 4


def test_every_check_has_an_id_of_its_kind_and_a_clause() -> None:
    assert all(each.id.startswith("endpoint.") for each in endpoint_checks())
    clauses = {clause for each in endpoint_checks() for clause in each.clauses}
    assert clauses >= {"W1", "W2", "W3", "W4", "W5", "W6", "O2", "O4", "O5", "O6", "O7", "O8"}
    assert clauses >= {"F1", "F2", "F3", "F4", "F6", "F7", "K1", "K2", "K3", "K5"}
    assert clauses >= {"E1", "E2", "E3", "E4", "E5", "E7"}
