"""What the tests that need a GPU take for one, on machines of every kind."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from sagemaker_bidi.containers.image_run import ImageRun, create_options
from tests.gpu.places import CDI_DEVICE, ROOT, docker_gpus, image_environment, why_no_vllm


def info(**said: object) -> str:
    return json.dumps({"Runtimes": {"runc": {}}, **said})


def test_a_daemon_with_the_nvidia_runtime_is_asked_for_all_gpus() -> None:
    assert docker_gpus(info(Runtimes={"runc": {}, "nvidia": {}})) == "all"


def test_a_daemon_that_has_found_gpus_by_cdi_is_asked_for_the_device() -> None:
    devices = [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]
    assert docker_gpus(info(DiscoveredDevices=devices)) == CDI_DEVICE


def test_an_older_daemon_s_gpus_are_read_from_the_folders_that_it_reads(tmp_path: Path) -> None:
    (tmp_path / "nvidia.yaml").write_text("kind: nvidia.com/gpu\n")
    assert docker_gpus(info(CDISpecDirs=[str(tmp_path)]), (tmp_path,)) == CDI_DEVICE
    # It reads none: what lies there is not for it.
    assert docker_gpus(info(CDISpecDirs=[]), (tmp_path,)) is None


def test_a_daemon_without_a_gpu_is_asked_for_none(tmp_path: Path) -> None:
    assert docker_gpus(info(CDISpecDirs=["/etc/cdi"]), (tmp_path,)) is None


def test_a_device_of_cdi_is_given_to_the_container_as_one() -> None:
    assert create_options(ImageRun("i", gpus=CDI_DEVICE), "n", 1)[-2:] == ["--device", CDI_DEVICE]
    assert create_options(ImageRun("i", gpus="all"), "n", 1)[-2:] == ["--gpus", "all"]
    by_number = '"device=0,1"'
    assert create_options(ImageRun("i", gpus=by_number), "n", 1)[-2:] == ["--gpus", by_number]


def test_a_vllm_without_what_it_decodes_audio_with_is_named_with_what_to_install(
    tmp_path: Path,
) -> None:
    vllm = tmp_path / "vllm"
    vllm.write_text(f"#!{sys.executable} -IS\n")
    assert why_no_vllm(os.fspath(vllm)) == (
        f"{vllm} cannot import librosa, mistral_common.audio, soundfile, soxr: install librosa "
        "mistral-common[audio] soundfile soxr beside it"
    )


def test_the_tests_give_vllm_what_the_image_gives_it() -> None:
    found = image_environment((ROOT / "Dockerfile").read_text("utf-8"))
    assert found["VLLM_DISABLE_COMPILE_CACHE"] == "1"
    assert found["SM_VLLM_COMPILATION_CONFIG"] == '{"cudagraph_mode": "PIECEWISE"}'
    assert found["SM_VLLM_MAX_NUM_SEQS"] == "4"
    assert found["SM_VLLM_TOKENIZER_MODE"] == "mistral"
