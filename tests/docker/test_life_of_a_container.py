"""Failures that only a real container can have, each through the real SDK."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from testcontainers.core.network import Network

from sagemaker_bidi.testing.containers import StandInContainer, VoxtralContainer
from sagemaker_bidi_client.errors import RequestRefused, StreamBroken
from tests.docker.conftest import PATIENT
from tests.docker.talk import FOX, Service, docker, exit_code, processes

pytestmark = pytest.mark.docker


async def test_the_words_come_through_sdk_emulator_bridge_and_vllm_in_a_real_container(
    voxtral: VoxtralContainer,
) -> None:
    voxtral.start()
    async with Service(voxtral.get_url()) as service:
        assert await service.transcript() == FOX.words


@pytest.mark.clause("K1")
async def test_a_paused_container_misses_five_pings_and_its_endpoint_is_not_given_up(
    voxtral: VoxtralContainer,
) -> None:
    voxtral.start()
    container = voxtral.get_container_id()
    # Only the stream's pings decide here: the health page of a paused container fails, too.
    async with Service(voxtral.get_url(), time_scale=60, contract={"health_failures": 999}) as s:
        async with s.talk() as talk:
            docker("pause", container)
            try:
                error = await talk.end()
            finally:
                docker("unpause", container)
        assert isinstance(error, StreamBroken)
        assert "did not answer 5 consecutive pings" in str(error)
        (record,) = s.emulator.sessions
        assert record.ending is not None
        assert (record.ending.by, record.ending.clause) == ("emulator", "K1")
        assert await s.transcript() == FOX.words


@pytest.mark.clause("K4")
async def test_a_paused_container_fails_its_health_check(voxtral: VoxtralContainer) -> None:
    voxtral.start()
    async with Service(voxtral.get_url(), time_scale=10) as service:
        docker("pause", voxtral.get_container_id())
        try:
            await service.status_becomes("Unhealthy")
            with pytest.raises(RequestRefused) as refused:
                async with service.stream() as stream:
                    await stream.opened()
        finally:
            docker("unpause", voxtral.get_container_id())
        assert refused.value.status == 424
        await service.status_becomes("InService")


@pytest.mark.clause("E6")
async def test_a_container_that_is_killed_in_mid_stream_breaks_the_stream(
    voxtral: VoxtralContainer,
) -> None:
    voxtral.start()
    async with Service(voxtral.get_url()) as service, service.talk() as talk:
        docker("kill", "--signal", "KILL", voxtral.get_container_id())
        error = await talk.end()
    assert isinstance(error, StreamBroken)
    assert error.code == "StreamBroken"
    assert exit_code(voxtral.get_container_id()) == 137


@pytest.mark.clause("K4")
async def test_sigterm_lets_a_session_finish_takes_no_other_and_ends_the_container_with_0(
    voxtral: VoxtralContainer,
) -> None:
    voxtral.start()
    container = voxtral.get_container_id()
    # So that the three checks that an unhealthy container fails take less than its drain.
    async with Service(voxtral.get_url(), time_scale=10) as service, service.talk() as talk:
        docker("kill", "--signal", "TERM", container)
        await service.status_becomes("Unhealthy")
        with pytest.raises(RequestRefused):
            async with service.stream() as another:
                await another.opened()
        assert await talk.finish() == FOX.words
    assert exit_code(container) == 0


@pytest.mark.clause("K4")
async def test_a_session_that_does_not_finish_is_closed_with_1001_before_sagemaker_kills(
    voxtral: VoxtralContainer,
) -> None:
    voxtral.start()
    container = voxtral.get_container_id()
    async with Service(voxtral.get_url()) as service, service.talk() as talk:
        started = time.monotonic()
        docker("kill", "--signal", "TERM", container)
        error = await talk.end()
        assert 24 < time.monotonic() - started < 29
        assert error is not None
        assert "1001" in str(error)
        assert "the bridge is stopping: drained for 25 s" in str(error)
        assert exit_code(container, 30 - (time.monotonic() - started)) == 0


@pytest.mark.clause("K4")
@pytest.mark.parametrize("target", ["bridge", "voxtral"])
def test_a_sigterm_right_after_the_start_is_not_lost(
    target: str, bidi_images: Mapping[str, str], model: Path
) -> None:
    mount = f"{model}:/opt/ml/model:ro"
    container = docker("run", "--detach", "--volume", mount, bidi_images[target], "serve")
    try:
        docker("kill", "--signal", "TERM", container)
        # The bridge under a supervisor may have had no time to hear it.
        assert exit_code(container) in (0, 143)
    finally:
        docker("rm", "--force", "--volumes", container)


async def test_a_container_that_takes_too_much_memory_is_killed_in_mid_stream(
    voxtral: VoxtralContainer,
) -> None:
    voxtral.with_memory("400m").start()
    container = voxtral.get_container_id()
    async with Service(voxtral.get_url()) as service, service.talk() as talk:
        # The kernel takes the largest: this process stands for an engine that grows.
        vllm = processes(container)["vllm"]
        docker("exec", container, "sh", "-c", f"echo 1000 > /proc/{vllm}/oom_score_adj")
        docker("exec", "--detach", container, "python3", "-c", _GROW)
        error = await talk.end()
    assert isinstance(error, StreamBroken)
    assert exit_code(container) == 137
    assert docker("inspect", "--format", "{{.State.OOMKilled}}", container) == "true"


_GROW = "data = []\nwhile True: data.append(bytearray(8_000_000))"


@pytest.mark.clause("K1")
async def test_a_container_cut_off_from_its_network_is_noticed_by_its_missing_pongs(
    bidi_images: Mapping[str, str], voxtral: VoxtralContainer, network: Network
) -> None:
    voxtral.with_network(network).with_network_aliases("voxtral").start()
    container = voxtral.get_container_id()
    address = docker(
        "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container
    )
    # By its own address: through a published port, Docker's proxy would hide the cut.
    async with Service(f"ws://{address}:8080", time_scale=60) as service, service.talk() as talk:
        docker("network", "disconnect", network.name, container)
        error = await talk.end()
    assert isinstance(error, StreamBroken)
    assert "did not answer 5 consecutive pings" in str(error)


@pytest.mark.clause("K4")
async def test_an_endpoint_is_creating_until_a_slow_container_passes_its_health_check(
    voxtral: VoxtralContainer,
) -> None:
    voxtral.with_env("STAND_IN_START_SECONDS", "6")._wait_strategy = None
    voxtral.start()
    async with Service(voxtral.get_url()) as service:
        assert set(service.emulator.status("voxtral").values()) == {"Creating"}
        with pytest.raises(RequestRefused) as refused:
            async with service.stream() as stream:
                await stream.opened()
        assert refused.value.status == 400
        await service.status_becomes("InService")
        assert await service.transcript() == FOX.words


@pytest.mark.clause("K4")
async def test_an_endpoint_fails_when_its_container_is_not_healthy_within_eight_minutes(
    voxtral: VoxtralContainer,
) -> None:
    voxtral.with_env("STAND_IN_START_SECONDS", "600")._wait_strategy = None
    voxtral.start()
    async with Service(voxtral.get_url(), time_scale=120) as service:
        await service.status_becomes("Failed")


class TestTheEngineAlone:
    """The same failures of the one process in the container that is not ours."""

    async def test_killed_it_ends_the_session_and_the_container_with_its_code(
        self, voxtral: VoxtralContainer
    ) -> None:
        voxtral.start()
        container = voxtral.get_container_id()
        async with Service(voxtral.get_url()) as service, service.talk() as talk:
            docker("exec", container, "kill", "-KILL", str(processes(container)["vllm"]))
            error = await talk.end()
        assert isinstance(error, StreamBroken)
        assert "vLLM's connection was lost without a Close frame" in str(error)
        assert exit_code(container) == 137

    async def test_stopped_it_fails_the_health_check_within_two_seconds(
        self, voxtral: VoxtralContainer
    ) -> None:
        voxtral.start()
        container = voxtral.get_container_id()
        docker("exec", container, "kill", "-STOP", str(processes(container)["vllm"]))
        async with Service(voxtral.get_url()) as service:
            (latest,) = service.emulator.status("voxtral").values()
        assert latest == "Creating"
        assert "did not answer within 1000 ms" in voxtral.get_logs()[1].decode()

    async def test_killed_in_the_drain_it_does_not_hold_the_container(
        self, voxtral: VoxtralContainer
    ) -> None:
        voxtral.start()
        container = voxtral.get_container_id()
        async with Service(voxtral.get_url()) as service, service.talk() as talk:
            docker("kill", "--signal", "TERM", container)
            docker("exec", container, "kill", "-KILL", str(processes(container)["vllm"]))
            assert isinstance(await talk.end(), StreamBroken)
        assert exit_code(container) == 137

    async def test_the_bridge_killed_ends_the_container_with_its_code(
        self, voxtral: VoxtralContainer
    ) -> None:
        voxtral.start()
        container = voxtral.get_container_id()
        docker("exec", container, "kill", "-KILL", str(processes(container)["bridge"]))
        assert exit_code(container) == 137


async def test_the_bridge_image_serves_a_vllm_in_another_container(
    bidi_images: Mapping[str, str], network: Network
) -> None:
    stand_in = StandInContainer(bidi_images["emulator"]).with_network(network)
    bridge = VoxtralContainer(bidi_images["bridge"]).with_network(network)
    with (
        stand_in.with_network_aliases("vllm"),
        bridge.with_network_aliases("bridge").with_backend(stand_in).with_env(*PATIENT),
    ):
        async with Service(bridge.get_url()) as service:
            assert await service.transcript() == FOX.words
