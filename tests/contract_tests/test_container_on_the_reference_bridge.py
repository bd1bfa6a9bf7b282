"""The container checks on the bridge with the eight defects: the report names each of them."""

import asyncio
import sys
from pathlib import Path

import pytest

from sagemaker_bidi_contract.defects import DEFECTS
from sagemaker_bidi_contract.options import BackendAddress
from sagemaker_bidi_contract.verdicts import Report, Verdict
from sagemaker_bidi_fixtures.containers.reference_bridge import ReferenceBridge
from tests.contract_tests.running import check, check_bridge, unused_port

ROOT = Path(__file__).parents[2]

SEEN_IN = {
    1: "bridge.dead-backend",
    2: "bridge.backend-dies",
    3: "bridge.refusing-backend",
    4: "bridge.message-2-mib",
    5: "bridge.tail",
    6: "bridge.ping-page-hanging-backend",
    7: "bridge.empty-messages",
}


@pytest.fixture(scope="module")
def report() -> Report:
    return asyncio.run(check_bridge(ReferenceBridge, "bridge"))


@pytest.mark.parametrize("number", SEEN_IN)
def test_a_defect_is_named_in_the_check_that_shows_it(report: Report, number: int) -> None:
    finding = next(item for item in report.findings if item.check == SEEN_IN[number])
    assert finding.verdict is Verdict.FAILED
    assert number in finding.defects
    assert finding.expected
    assert finding.sent
    assert finding.received


def test_all_defects_but_the_one_that_needs_its_process_are_in_the_report(report: Report) -> None:
    assert report.defects == (1, 2, 3, 4, 5, 6, 7)
    assert report.exit_status == 1


def test_what_the_bridge_does_well_is_not_held_against_it(report: Report) -> None:
    good = {item.check for item in report.findings if item.verdict is Verdict.OK}
    assert {"bridge.head", "bridge.message-kinds", "bridge.client-gone"} <= good


async def test_sessions_that_are_cut_by_sigterm_are_the_eighth_defect() -> None:
    port, backend = unused_port(), unused_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sagemaker_bidi_fixtures.containers.reference_bridge", "--port", str(port)),
        *("--backend", f"ws://127.0.0.1:{backend}/v1/realtime"),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await listening(port)
        report = await check(
            f"ws://127.0.0.1:{port}",
            "container.sigterm",
            pid=process.pid,
            fake_backend=BackendAddress("127.0.0.1", backend),
        )
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    (finding,) = report.findings
    assert finding.verdict is Verdict.FAILED
    assert finding.defects == (8,)
    assert "SIGTERM cut the session at once: Close 1012" in finding.summary


def test_the_eight_defects_have_advice() -> None:
    assert list(DEFECTS) == list(range(1, 9))
    assert all(defect.title and defect.advice for defect in DEFECTS.values())


async def listening(port: int) -> None:
    """Wait until something listens; a process gives no other sign."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
