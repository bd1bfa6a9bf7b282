"""A run of all endpoint checks."""

from __future__ import annotations

from collections.abc import Callable

from sagemaker_bidi_contract.checks import ENDPOINT, Check
from sagemaker_bidi_contract.endpoint.stage import EndpointStage
from sagemaker_bidi_contract.options import EndpointTarget, Options
from sagemaker_bidi_contract.replay.checks import selected
from sagemaker_bidi_contract.runner import Runner, Stopwatch
from sagemaker_bidi_contract.verdicts import Finding, Report


def endpoint_checks(options: Options | None = None) -> tuple[Check, ...]:
    """The checks that the options select; all without options.

    Raises:
        SelectionError: an unknown clause or id.
        TargetError: recordings that cannot be used.
    """
    return ENDPOINT.all() if options is None else selected(ENDPOINT, options)


async def run_endpoint_checks(
    target: EndpointTarget,
    options: Options,
    on_finding: Callable[[Finding], None] = lambda finding: None,
) -> Report:
    """Hold an endpoint to SageMaker's side of the contract.

    Args:
        target: the emulator, or SageMaker itself.
        options: the endpoint's name, what is allowed, and which checks.
        on_finding: is told of each finding as it comes.

    Raises:
        SelectionError: an unknown clause or id.
        TargetError: an option that is missing or cannot be used.
    """
    checks = endpoint_checks(options)
    watch = Stopwatch()
    async with EndpointStage(target, options) as stage:
        findings = await Runner(stage, options.timeout, on_finding).run(checks)
    return watch.report(f"{target.url} {options.endpoint_name}", target.url, options, findings)
