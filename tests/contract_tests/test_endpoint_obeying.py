"""O9, F5, E6 and M1-M3 seen from the client's side, with the container that obeys the suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.contract.ledger import ledger
from sagemaker_bidi_contract.endpoint.run import endpoint_checks
from sagemaker_bidi_contract.obeying import OFFERS, ObeyingContainer
from sagemaker_bidi_contract.verdicts import Finding, Verdict
from sagemaker_bidi_fixtures.containers.connection import FrameSocket
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from tests.contract_tests.endpoints import ACCEPT_SECONDS, check, check_one, emulated, environment
from tests.contract_tests.running import told

CHECKS = tuple(each.id for each in endpoint_checks() if "obeying" in each.requires)


async def on_obeying(check_id: str, container: ObeyingContainer | None = None) -> Finding:
    async with emulated(container or ObeyingContainer(port=0)) as emulator:
        return await check_one(emulator.url, check_id, behind="obeying")


async def test_the_emulator_keeps_what_the_obeying_container_can_see() -> None:
    async with emulated(ObeyingContainer(port=0)) as emulator:
        report = await check(emulator.url, *CHECKS, behind="obeying")
    assert len(CHECKS) == 9
    assert [item.verdict for item in report.findings] == [Verdict.OK] * 9, told(report, *Verdict)
    summaries = {item.check: item.summary for item in report.findings}
    assert "StreamBroken" in summaries["endpoint.container-dies"]
    assert "424" in summaries["endpoint.metadata-lost"]
    assert "only the bill shows" in summaries["endpoint.metering"]


async def test_the_obeying_container_echoes_what_is_no_command() -> None:
    async with emulated(ObeyingContainer(port=0)) as emulator:
        finding = await check_one(emulator.url, "endpoint.many-parts", behind="obeying")
    assert finding.verdict is Verdict.OK, finding.summary


async def test_without_it_they_are_skipped_and_say_what_to_start() -> None:
    async with emulated() as emulator:
        report = await check(emulator.url, *CHECKS, behind="echo")
    assert {item.verdict for item in report.findings} == {Verdict.SKIPPED}
    assert all(
        "python -m sagemaker_bidi_contract.obeying" in item.summary for item in report.findings
    )


async def test_another_container_that_is_called_obeying_is_found_out() -> None:
    async with emulated(EchoContainer(port=0)) as emulator:
        finding = await check_one(emulator.url, "endpoint.container-headers", behind="obeying")
    assert finding.verdict is Verdict.FAILED
    assert "the container answered 'request' with" in finding.summary


class Deaf(ObeyingContainer):
    """Its pings get no pong, as far as it hears."""

    async def _obey(self, connection: FrameSocket, request: object) -> None:
        receive = connection.receive

        async def without_pongs() -> object:
            while (frame := await receive()) is not None and frame.opcode == 0xA:
                pass
            return frame

        connection.receive = without_pongs  # type: ignore[assignment, method-assign]
        await super()._obey(connection, request)  # type: ignore[arg-type]


async def test_an_endpoint_that_answers_no_ping_is_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagemaker_bidi_contract.obeying.ANSWER_SECONDS", 0.2)
    finding = await on_obeying("endpoint.container-pings", Deaf(port=0))
    assert finding.verdict is Verdict.FAILED
    assert "no pong" in finding.summary


async def test_an_endpoint_that_opens_no_metadata_stream_is_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sagemaker_bidi_contract.obeying.ANSWER_SECONDS", 0.2)
    for offer in OFFERS:
        monkeypatch.setitem(OFFERS, offer, ())
    async with emulated(ObeyingContainer(port=0)) as emulator:
        ids = ("endpoint.metadata-stream", "endpoint.metering", "endpoint.metadata-refused")
        report = await check(emulator.url, *ids, "endpoint.metadata-lost", behind="obeying")
    found = {item.check: item for item in report.findings}
    assert {item.verdict for item in report.findings} == {Verdict.FAILED}
    assert "none was opened" in found["endpoint.metadata-stream"].summary
    assert "was over" in found["endpoint.metering"].summary
    assert found["endpoint.metadata-refused"].summary == "the stream opened"
    assert found["endpoint.metadata-lost"].summary == "the data stream went on"


async def test_a_death_that_is_told_otherwise_is_news_and_no_failure() -> None:
    """E6 is assumed: what the endpoint does instead is what the report is for."""
    lost = {"event": "InternalStreamFailure", "code": "", "message": "gone"}
    contract = {"connection_lost_error": lost}
    async with emulated(ObeyingContainer(port=0), contract=contract) as emulator:
        finding = await check_one(emulator.url, "endpoint.container-dies", behind="obeying")
    assert finding.verdict is Verdict.INFORMATIONAL, finding.summary
    assert "InternalStreamFailure" in finding.summary
    assert "the emulator's assumption is ModelStreamError with the code StreamBroken" in (
        finding.summary
    )


def test_every_clause_has_a_row_in_an_endpoints_report() -> None:
    held = {clause for each in endpoint_checks() for clause in each.clauses}
    assert held == set(ledger().ids)


async def test_what_no_client_can_see_is_said_by_clause_with_where_it_is_held() -> None:
    async with emulated() as emulator:
        report = await check(emulator.url, clauses=("K4", "P1"))
    assert [item.clauses for item in report.findings] == [("K4",), ("P1",)]
    assert {item.verdict for item in report.findings} == {Verdict.SKIPPED}
    assert "bidi check ws://HOST:8080" in report.findings[0].summary
    assert report.exit_status == 1


@asynccontextmanager
async def two_variants(blue: float, green: float) -> AsyncIterator[Emulator]:
    """An endpoint of two variants, each with a container of its own."""
    async with EchoContainer(port=0) as one, EchoContainer(port=0) as other:
        variants = [
            {"name": "blue", "url": one.url, "weight": blue},
            {"name": "green", "url": other.url, "weight": green},
        ]
        config = Config.model_validate(
            {
                "port": 0,
                "health": "off",
                "contract": {"accept_seconds": ACCEPT_SECONDS},
                "endpoints": {"echo": {"variants": variants}},
            }
        )
        async with Emulator(config=config) as emulator:
            with environment(emulator.trust()):
                yield emulator


WEIGHT, NAME = "endpoint.variants-by-weight", "endpoint.variants-by-name"


@pytest.mark.clause("O8")
async def test_variants_are_shared_by_weight_and_found_by_name() -> None:
    async with two_variants(3, 1) as emulator:
        report = await check(emulator.url, WEIGHT, NAME, variants={"blue": 3.0, "green": 1.0})
    assert [item.verdict for item in report.findings] == [Verdict.OK] * 2, told(report, *Verdict)
    assert "30 on blue" in report.findings[0].summary
    assert "10 on green" in report.findings[0].summary


@pytest.mark.parametrize(
    ("configured", "check_id", "says"),
    [
        ({"blue": 1.0}, WEIGHT, "green is not configured"),
        ({"blue": 1.0, "green": 0.0}, WEIGHT, "is no share for"),
        ({"blue": 1.0, "green": 20.0}, WEIGHT, "is no share for"),
    ],
)
async def test_an_endpoint_that_shares_otherwise_is_failed(
    configured: dict[str, float], check_id: str, says: str
) -> None:
    async with two_variants(1, 1) as emulator:
        (finding,) = (await check(emulator.url, check_id, variants=configured)).findings
    assert finding.verdict is Verdict.FAILED, finding.summary
    assert says in finding.summary
    assert "blue" in finding.expected


async def test_a_variant_that_is_not_there_is_failed_by_name() -> None:
    async with two_variants(1, 1) as emulator:
        configured = {"blue": 1.0, "red": 1.0}
        (finding,) = (await check(emulator.url, NAME, variants=configured)).findings
    assert finding.verdict is Verdict.FAILED


async def test_without_the_variants_their_checks_are_skipped() -> None:
    async with emulated() as emulator:
        report = await check(emulator.url, WEIGHT, NAME)
    assert {item.verdict for item in report.findings} == {Verdict.SKIPPED}
    assert "--variant NAME=WEIGHT" in report.findings[0].summary
