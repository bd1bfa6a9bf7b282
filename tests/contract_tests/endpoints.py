"""Runs of the endpoint checks for tests: on an emulator in this process, whole or broken."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.faults.plan import Plan, Rule, When
from sagemaker_bidi_contract.endpoint.run import run_endpoint_checks
from sagemaker_bidi_contract.options import EndpointTarget, Options
from sagemaker_bidi_contract.verdicts import Finding, Report
from sagemaker_bidi_fixtures.containers.echo import EchoContainer
from sagemaker_bidi_fixtures.containers.server import FrameServer

# A test machine may be busy: more than the 250 ms of O3.
ACCEPT_SECONDS = 5.0


@contextmanager
def environment(variables: Mapping[str, str]) -> Any:
    """These variables, and none of AWS's beside them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    kept["AWS_EC2_METADATA_DISABLED"] = "true"
    with patch.dict(os.environ, {**kept, **variables}, clear=True):
        yield


@asynccontextmanager
async def emulated(
    container: FrameServer | None = None,
    *rules: Rule,
    contract: Mapping[str, Any] | None = None,
    **config: Any,
) -> AsyncIterator[Emulator]:
    """An emulator whose endpoint `echo` is the container, and the environment to reach it."""
    async with container or EchoContainer(port=0) as box:
        given = {"health": "off", **config}
        emulator = Emulator(
            {"echo": box.url},
            config=Config(
                port=0, contract={"accept_seconds": ACCEPT_SECONDS, **(contract or {})}, **given
            ),
            plans=[Plan("broken", rules)] if rules else [],
        )
        async with emulator:
            with environment(emulator.trust()):
                yield emulator


def rule(fault: Any, **when: Any) -> Rule:
    """A fault and when it acts."""
    return Rule(fault, When(**when))


async def check(url: str, *checks: str, **options: Any) -> Report:
    """Make these checks, all without any, on the endpoint `echo`."""
    given = {"endpoint_name": "echo", **options}
    return await run_endpoint_checks(EndpointTarget.parse(url), Options(checks=checks, **given))


async def check_one(url: str, check_id: str, **options: Any) -> Finding:
    """Make one check on an endpoint with an echo container."""
    (finding,) = (await check(url, check_id, **{"behind": "echo", **options})).findings
    return finding
