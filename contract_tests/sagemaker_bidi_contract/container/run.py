"""A run of all container checks."""

from __future__ import annotations

from collections.abc import Callable

from sagemaker_bidi_contract.checks import CONTAINER, Check
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.options import ContainerTarget, Options
from sagemaker_bidi_contract.replay.checks import selected
from sagemaker_bidi_contract.runner import Runner, Stopwatch
from sagemaker_bidi_contract.verdicts import Finding, Report


def container_checks(options: Options | None = None) -> tuple[Check, ...]:
    """The checks that the options select; all without options.

    Raises:
        SelectionError: an unknown clause or id.
        TargetError: recordings that cannot be used.
    """
    return CONTAINER.all() if options is None else selected(CONTAINER, options)


async def run_container_checks(
    target: ContainerTarget,
    options: Options | None = None,
    on_finding: Callable[[Finding], None] = lambda finding: None,
) -> Report:
    """Hold a running container to the container's side of the contract.

    Args:
        target: where it listens.
        options: what is allowed, and which checks.
        on_finding: is told of each finding as it comes.

    Raises:
        SelectionError: an unknown clause or id.
        TargetError: an option that cannot be used.
    """
    chosen = options or Options()
    checks = container_checks(chosen)
    watch = Stopwatch()
    async with ContainerStage(target, chosen) as stage:
        findings = await Runner(stage, chosen.timeout, on_finding).run(checks)
    return watch.report(target.url, target.url, chosen, findings)
