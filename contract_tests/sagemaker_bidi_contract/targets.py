"""Which suite a target gets: `https://` is an endpoint, `ws://` a container, a name an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sagemaker_bidi.containers.hosted import ImageRun
from sagemaker_bidi.extras import needs
from sagemaker_bidi_contract.checks import Check, SelectionError
from sagemaker_bidi_contract.container.run import container_checks, run_container_checks
from sagemaker_bidi_contract.container.stage import ContainerStage
from sagemaker_bidi_contract.image.run import image_checks, is_image, run_image_checks
from sagemaker_bidi_contract.options import ContainerTarget, EndpointTarget, Options, is_endpoint
from sagemaker_bidi_contract.verdicts import Finding, Report

if TYPE_CHECKING:
    from sagemaker_bidi_contract.endpoint.stage import EndpointStage

_ENDPOINT = "a check of an endpoint"


def checks_for(url: str, options: Options | None = None) -> tuple[Check, ...]:
    """The checks for a target; of both kinds without one.

    Args:
        url: as the user wrote it, or "".
        options: which of them; all without options.

    Raises:
        SelectionError: an unknown clause or id.
        TargetError: recordings that cannot be used.
        ExtraMissing: an endpoint's need an AWS SDK.
    """
    if url:
        if is_image(url):
            return image_checks(options)
        return _endpoint_checks(options) if is_endpoint(url) else container_checks(options)
    found: tuple[Check, ...] = ()
    unknown: list[SelectionError] = []
    for select in (image_checks, _endpoint_checks):
        try:
            # A recording may be of either side, so both have a check of it.
            known = {check.id for check in found}
            found += tuple(check for check in select(options) if check.id not in known)
        except SelectionError as error:
            unknown.append(error)
    if not found and unknown:
        raise unknown[0]
    return found


def stage_for(url: str, options: Options) -> ContainerStage | EndpointStage:
    """The stage of a target.

    Raises:
        TargetError: an address or an option that cannot be used.
    """
    if is_endpoint(url):
        with needs("client", _ENDPOINT):
            from sagemaker_bidi_contract.endpoint.stage import EndpointStage

        return EndpointStage(EndpointTarget.parse(url), options)
    return ContainerStage(ContainerTarget.parse(url), options)


async def run_checks(
    url: str, options: Options, on_finding: Callable[[Finding], None] = lambda finding: None
) -> Report:
    """Hold a target to its side of the contract.

    Args:
        url: as the user wrote it.
        options: what is known and allowed, and which checks.
        on_finding: is told of each finding as it comes.

    Raises:
        SelectionError: an unknown clause or id.
        TargetError: an address or an option that cannot be used.
    """
    if is_image(url):
        run = ImageRun(
            url, model=options.model_folder, environment=options.environment, gpus=options.gpus
        )
        return await run_image_checks(run, options, on_finding)
    if is_endpoint(url):
        with needs("client", _ENDPOINT):
            from sagemaker_bidi_contract.endpoint.run import run_endpoint_checks

        return await run_endpoint_checks(EndpointTarget.parse(url), options, on_finding)
    return await run_container_checks(ContainerTarget.parse(url), options, on_finding)


def _endpoint_checks(options: Options | None) -> tuple[Check, ...]:
    with needs("client", _ENDPOINT):
        from sagemaker_bidi_contract.endpoint.run import endpoint_checks

    return endpoint_checks(options)
