"""Runs of the suite for tests: against a target, and against a bridge with a backend of ours."""

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from sagemaker_bidi_contract.container.run import run_container_checks
from sagemaker_bidi_contract.exchange import ExchangeLog
from sagemaker_bidi_contract.options import BackendAddress, ContainerTarget, Options
from sagemaker_bidi_contract.verdicts import Finding, Report, Verdict
from sagemaker_bidi_contract.wire.page import get


class HasUrl(Protocol):
    """A container in this process."""

    @property
    def url(self) -> str: ...


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def check(url: str, *checks: str, **options: Any) -> Report:
    """Make these checks, all without any."""
    target = ContainerTarget.parse(url)
    report = await run_container_checks(target, Options(checks=checks, **options))
    await settle(url)
    return report


async def settle(url: str) -> None:
    """Let a container of this process take every connection so far: it accepts them in order."""
    await get(ContainerTarget.parse(url), "/ping", 1, ExchangeLog())


async def check_one(url: str, check_id: str, **options: Any) -> Finding:
    """Make one check."""
    (finding,) = (await check(url, check_id, **options)).findings
    return finding


async def check_bridge[B: HasUrl](
    bridge: Callable[[str], AbstractAsyncContextManager[B]], *checks: str, **options: Any
) -> Report:
    """Make checks on a bridge whose backend is the suite's own; `bridge` gets the backend's URL."""
    port = unused_port()
    async with bridge(f"ws://127.0.0.1:{port}/v1/realtime") as container:
        fake = BackendAddress("127.0.0.1", port)
        return await check(container.url, *checks, fake_backend=fake, **options)


def told(report: Report, *verdicts: Verdict) -> list[str]:
    """The findings with these verdicts, for an assertion that shows them."""
    return [f"{item.check}: {item.summary}" for item in report.findings if item.verdict in verdicts]
