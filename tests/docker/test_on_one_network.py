"""Emulator, container, stand-in and client, each a container on one Docker network."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from aws_sdk_sagemaker_runtime_http2.models import (
    InvokeEndpointWithBidirectionalStreamInput,
    RequestPayloadPart,
    RequestStreamEventPayloadPart,
    ResponseStreamEventPayloadPart,
)
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from sagemaker_bidi.testing.containers import (
    SageMakerBidiContainer,
    StandInContainer,
    VoxtralContainer,
)
from sagemaker_bidi.testing.containers.reach import ContainerEnded, NotOnANetwork
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.errors import RequestRefused
from tests.docker.conftest import in_service
from tests.docker.talk import FOX, Talk, docker, exit_code, sdk_stream

pytestmark = pytest.mark.docker

CLIENT = Path(__file__).with_name("hard_coded_client.py")


def test_a_client_that_hard_codes_sagemakers_host_runs_unchanged_beside_the_emulator(
    bidi_images: Mapping[str, str], bidi_network: Network, sagemaker_bidi: SageMakerBidiContainer
) -> None:
    # What a user gives the container: trust, credentials, and nothing about the host.
    client = DockerContainer(bidi_images["emulator"]).with_network(bidi_network)
    client.with_kwargs(entrypoint=["python"])
    client.with_command(["/client.py", "/fox.wav"])
    client.with_copy_into_container(CLIENT, "/client.py")
    client.with_copy_into_container(FOX.path, "/fox.wav")
    client.with_copy_into_container(sagemaker_bidi.get_bundle(), "/bundle.pem")
    client.with_envs(SSL_CERT_FILE="/bundle.pem", **sagemaker_bidi.get_credentials())
    with client:
        code = exit_code(client.get_container_id())
        out, err = (text.decode() for text in client.get_logs())
    assert (code, out.strip()) == (0, FOX.words), err
    assert "8443" in CLIENT.read_text()


async def test_the_ready_sdk_client_talks_to_the_emulator_from_this_machine(
    sagemaker_bidi: SageMakerBidiContainer,
) -> None:
    client = await sagemaker_bidi.get_client()
    try:
        stream = await client.invoke_endpoint_with_bidirectional_stream(
            InvokeEndpointWithBidirectionalStreamInput(endpoint_name="voxtral")
        )
        part = RequestPayloadPart(bytes_=b'{"type": "nonsense"}', data_type="UTF8")
        await stream.input_stream.send(RequestStreamEventPayloadPart(value=part))
        _, output = await stream.await_output()
        said = []
        for _ in range(2):
            event = await output.receive()
            assert isinstance(event, ResponseStreamEventPayloadPart)
            said.append(event.value.bytes_ or b"")
        await stream.input_stream.close()
        await output.close()
    finally:
        await client.close()
    assert b"session.created" in said[0]
    assert b"unknown_event" in said[1]


async def test_websocket_clients_reach_the_container_and_the_stand_in(
    voxtral_container: VoxtralContainer, stand_in_container: StandInContainer
) -> None:
    async with voxtral_container.get_client() as bridge, stand_in_container.get_client() as vllm:
        assert "session.created" in await bridge.recv()
        assert "session.created" in await vllm.recv()


async def test_contract_settings_reach_the_emulator_in_its_container(
    bidi_images: Mapping[str, str],
    bidi_network: Network,
    voxtral_container: VoxtralContainer,
    tmp_path: Path,
) -> None:
    emulator = (
        SageMakerBidiContainer(bidi_images["emulator"])
        .with_network(bidi_network)
        .with_endpoint("voxtral", voxtral_container)
        .with_region("us-east-1")
        .with_contract(lifetime=3.0, accept_seconds=10.0)
        .waiting_for(in_service())
    )
    with emulator:
        ca = tmp_path / "ca.pem"
        ca.write_bytes(emulator.get_ca())
        async with sdk_stream(emulator.get_url(), ca) as stream:
            error = await Talk(stream).end()
    assert "The stream reached its longest duration of 3 seconds" in str(error)


@pytest.mark.parametrize("own_network", [False, True])
async def test_its_certificate_holds_where_containers_are_reached_by_their_own_addresses(
    own_network: bool,
    bidi_images: Mapping[str, str],
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # As testcontainers has it inside a container that shares its network with those it starts.
    monkeypatch.setattr(testcontainers_config, "connection_mode_override", ConnectionMode.bridge_ip)
    emulator = SageMakerBidiContainer(bidi_images["emulator"])
    emulator.with_endpoint("voxtral", "ws://127.0.0.1:9").with_contract(health_interval=5.0)
    if own_network:
        emulator.with_network(network)
    with emulator:
        assert emulator.get_url() not in ("https://127.0.0.1:8443", "https://localhost:8443")
        assert emulator.get_url().endswith(":8443")
        ca = tmp_path / "ca.pem"
        ca.write_bytes(emulator.get_ca())
        async with sdk_stream(emulator.get_url(), ca) as stream:
            # An answer in HTTP: TLS has been agreed upon.
            with pytest.raises(RequestRefused):
                await stream.opened()


def test_settings_come_together_in_whatever_order_they_are_given(
    bidi_images: Mapping[str, str], network: Network
) -> None:
    emulator = (
        SageMakerBidiContainer(bidi_images["emulator"])
        .with_sagemaker_host()
        .with_sagemaker_host("us-west-2")
        .with_network(network)
        .with_network_aliases("mine")
        .with_contract(health_interval=5.0)
        .with_config("[contract]\naccept_seconds = 10.0\n[endpoints]\nv = { url = 'ws://h:9' }")
        .with_config('names = ["mine"]\ngrace = 0.5')
        .with_contract(lifetime=3.0)
        .with_region("eu-west-1")
    )
    with emulator:
        container = emulator.get_container_id()
        config = tomllib.loads(docker("exec", container, "cat", "/etc/bidi.toml"))
        asked = "{{json .NetworkSettings.Networks}}"
        networks = json.loads(docker("inspect", "--format", asked, container))
    assert config.pop("names")[-1] == "mine"
    assert config == {
        "contract": {"health_interval": 5.0, "accept_seconds": 10.0, "lifetime": 3.0},
        "endpoints": {"v": {"url": "ws://h:9"}},
        "grace": 0.5,
    }
    sagemaker = {
        f"{host}.sagemaker.{region}.amazonaws.com"
        for host in ("runtime", "runtime-fips")
        for region in ("eu-west-1", "us-west-2")
    }
    assert {"mine", *sagemaker} == {
        alias for alias in networks[network.name]["Aliases"] if alias != container[:12]
    }


def test_a_wrong_setting_is_told_at_the_start_and_not_after_a_minute(
    bidi_images: Mapping[str, str],
) -> None:
    emulator = SageMakerBidiContainer(bidi_images["emulator"])
    emulator.with_endpoint("voxtral", "ws://nowhere").with_contract(lifetme=1)
    try:
        with pytest.raises(ContainerEnded, match=r"contract\.lifetme: no such setting"):
            emulator.start()
    finally:
        emulator.stop()


def test_an_endpoint_must_be_on_a_network_to_be_reached(bidi_images: Mapping[str, str]) -> None:
    with pytest.raises(NotOnANetwork, match=r"VoxtralContainer .*\.with_network_aliases"):
        SageMakerBidiContainer().with_endpoint("v", VoxtralContainer(bidi_images["bridge"]))


@pytest.mark.parametrize("target", ["bridge", "voxtral", "emulator"])
def test_each_image_knows_its_own_health(target: str, bidi_images: Mapping[str, str]) -> None:
    asked = "{{json .Config.Healthcheck.Test}}"
    assert docker("inspect", "--format", asked, bidi_images[target]).startswith('["CMD","python')


def test_a_container_that_ends_is_not_waited_for_and_its_log_is_shown(
    bidi_images: Mapping[str, str], tmp_path: Path
) -> None:
    empty = VoxtralContainer(bidi_images["voxtral"]).with_model(tmp_path)
    try:
        with pytest.raises(ContainerEnded, match=r"ended with 2 before (?s:.*)holds no model"):
            empty.start()
    finally:
        empty.stop()


def test_a_test_reaches_into_the_emulator_and_its_client_needs_one_call(
    bidi_images: Mapping[str, str], bidi_network: Network, tmp_path: Path
) -> None:
    emulator = SageMakerBidiContainer(bidi_images["emulator"]).with_network(bidi_network)
    emulator.with_endpoint("gone", "ws://127.0.0.1:9").with_config('health = "off"')
    emulator.with_control_port()
    with emulator as running:
        with running.get_environment(tmp_path), running.scenario("access-denied:times=1"):
            codes = [asyncio.run(refusal("gone")) for _ in range(2)]
        assert running.get_sessions() == []

    assert codes == [(403, "AccessDeniedException"), (424, "ModelError")]


async def refusal(endpoint: str) -> tuple[int | None, str | None]:
    """Status and name of what an endpoint refuses with, wherever the environment leads to."""
    async with open_stream(endpoint) as stream:
        with pytest.raises(RequestRefused) as refused:
            await stream.opened()
    return refused.value.status, refused.value.code
