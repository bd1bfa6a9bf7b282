"""Every check as a test: `pytest --pyargs sagemaker_bidi_contract.suite --bidi-target …`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from sagemaker_bidi_contract.checks import Check
from sagemaker_bidi_contract.options import TargetError
from sagemaker_bidi_contract.plugin import options_of
from sagemaker_bidi_contract.report.words import explanation
from sagemaker_bidi_contract.runner import Runner
from sagemaker_bidi_contract.targets import checks_for, stage_for
from sagemaker_bidi_contract.verdicts import Finding, Verdict

type Make = Callable[[Check], Finding]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make the target's checks, or both kinds' where there is none."""
    if "check" in metafunc.fixturenames:
        config = metafunc.config
        url = config.getoption("--bidi-target")
        checks = checks_for(url, options_of(config)) if url else checks_for("")
        metafunc.parametrize("check", checks, ids=[check.id for check in checks])


@pytest.fixture(scope="session")
def make_check(pytestconfig: pytest.Config) -> Iterator[Make]:
    """Makes a check on the target; one event loop and one stage for the whole run."""
    url = pytestconfig.getoption("--bidi-target")
    if not url:
        pytest.skip("no target: give one with --bidi-target ws://HOST:PORT or https://HOST:8443")
    options = options_of(pytestconfig)
    with asyncio.Runner() as loop:
        try:
            stage = stage_for(url, options)
            loop.run(stage.__aenter__())
        except TargetError as error:
            pytest.exit(str(error), pytest.ExitCode.USAGE_ERROR)
        runner = Runner(stage, options.timeout)
        try:
            yield lambda check: loop.run(runner.run_one(check))
        finally:
            loop.run(stage.__aexit__(None, None, None))


def test_contract(
    check: Check,
    make_check: Make,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    """One check: FAILED fails, SKIPPED skips, NON-STRICT fails with --bidi-strict."""
    finding = make_check(check)
    record_property("verdict", str(finding.verdict))
    record_property("clauses", " ".join(finding.clauses))
    strict = pytestconfig.getoption("--bidi-strict")
    match finding.verdict:
        case Verdict.FAILED:
            pytest.fail(explanation(finding), pytrace=False)
        case Verdict.NON_STRICT if strict:
            pytest.fail(explanation(finding), pytrace=False)
        case Verdict.SKIPPED:
            pytest.skip(finding.summary)
        case _:
            print(f"{finding.verdict}: {finding.summary}")
