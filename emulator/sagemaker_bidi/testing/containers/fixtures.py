"""Pytest fixtures: `pytest_plugins = ["sagemaker_bidi.testing.containers.fixtures"]`.

The containers are made once for a run. Each fixture can be overridden; `bidi_images` says which
images they are made from.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import pytest
from testcontainers.core.network import Network

from sagemaker_bidi.testing.containers.model import StandInContainer, VoxtralContainer
from sagemaker_bidi.testing.containers.reach import StartedByUs, tail_of
from sagemaker_bidi.testing.containers.service import SageMakerBidiContainer

LOG_LINES = 50


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    """Show the end of each container's log below a test that fails with it."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, StartedByUs) and value._container is not None:
                report.sections.append((f"log of {name}", tail_of(value._container, LOG_LINES)))
    return report


@pytest.fixture(scope="session")
def bidi_images() -> Mapping[str, str]:
    """The images by target: `emulator` and `bridge`."""
    return {
        "emulator": "sagemaker-bidi/emulator:latest",
        "bridge": "sagemaker-bidi/bridge:latest",
    }


@pytest.fixture(scope="session")
def bidi_network(bidi_images: Mapping[str, str]) -> Iterator[Network]:
    """The network that the containers share."""
    with Network() as network:
        yield network


@pytest.fixture(scope="session")
def stand_in_container(
    bidi_images: Mapping[str, str], bidi_network: Network
) -> Iterator[StandInContainer]:
    """A stand-in for vLLM, `stand-in` on the network."""
    container = StandInContainer(bidi_images["emulator"]).with_network(bidi_network)
    with container.with_network_aliases("stand-in"):
        yield container


@pytest.fixture(scope="session")
def voxtral_container(
    bidi_images: Mapping[str, str], bidi_network: Network, stand_in_container: StandInContainer
) -> Iterator[VoxtralContainer]:
    """The bridge in front of the stand-in, `voxtral` on the network."""
    container = VoxtralContainer(bidi_images["bridge"]).with_backend(stand_in_container)
    with container.with_network(bidi_network).with_network_aliases("voxtral"):
        yield container


@pytest.fixture(scope="session")
def sagemaker_bidi(
    bidi_images: Mapping[str, str], bidi_network: Network, voxtral_container: VoxtralContainer
) -> Iterator[SageMakerBidiContainer]:
    """The emulator with an endpoint `voxtral`, by SageMaker's own host name on the network."""
    container = SageMakerBidiContainer(bidi_images["emulator"]).with_network(bidi_network)
    with container.with_sagemaker_host().with_endpoint("voxtral", voxtral_container):
        yield container
