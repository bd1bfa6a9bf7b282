"""`SM_VLLM_` variables as options of `vllm serve`."""

import re
import subprocess
from pathlib import Path

import pytest

from sagemaker_bidi_bridge.engine_options import engine_command, sessions_at_once
from sagemaker_bidi_bridge.settings import SettingsError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "params.json").touch()
    return tmp_path


def options(model: Path, **variables: str) -> tuple[str, ...]:
    return engine_command(variables, model)[5:]


def test_the_model_that_sagemaker_mounted_is_served_on_8081_behind_the_bridge(model: Path) -> None:
    command = engine_command({"PATH": "/usr/bin"}, model)
    assert command == ("vllm", "serve", str(model), "--host=127.0.0.1", "--port=8081")


def test_a_variable_becomes_an_option_in_lower_case_with_hyphens(model: Path) -> None:
    found = options(
        model,
        SM_VLLM_MAX_MODEL_LEN="45000",
        SM_VLLM_COMPILATION_CONFIG='{"cudagraph_mode": "PIECEWISE"}',
    )
    assert found == (
        '--compilation-config={"cudagraph_mode": "PIECEWISE"}',
        "--max-model-len=45000",
    )


@pytest.mark.parametrize(
    ("value", "option"),
    [("", "--enforce-eager"), ("True", "--enforce-eager"), ("false", "--no-enforce-eager")],
)
def test_a_switch_is_set_by_true_or_nothing_and_taken_back_by_false(
    model: Path, value: str, option: str
) -> None:
    assert options(model, SM_VLLM_ENFORCE_EAGER=value) == (option,)


def test_another_model_can_be_named(tmp_path: Path) -> None:
    command = engine_command({"SM_VLLM_MODEL": "mistralai/Voxtral"}, tmp_path / "none")
    assert command[2] == "mistralai/Voxtral"


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_or_missing_model_folder_is_named_with_what_to_do(
    tmp_path: Path, there: bool
) -> None:
    folder = tmp_path if there else tmp_path / "model"
    with pytest.raises(SettingsError, match=r"holds no model: mount .* or name .* SM_VLLM_MODEL"):
        engine_command({}, folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SM_VLLM_PORT", "8080"),
        ("SM_VLLM_port", "9"),
        ("SM_VLLM_Host", "0.0.0.0"),
        ("SM_VLLM_UDS", "/tmp/vllm.sock"),
        ("SM_VLLM_headless", "true"),
    ],
)
def test_where_vllm_listens_is_the_containers_own_in_whatever_case_it_is_said(
    model: Path, name: str, value: str
) -> None:
    refusal = rf"{name}='{re.escape(value)}': vLLM listens on 127.0.0.1:8081 here, .* leave {name}"
    with pytest.raises(SettingsError, match=refusal):
        engine_command({name: value}, model)


@pytest.mark.parametrize("value", ["1", " 1 ", "2", "true"])
def test_a_front_end_without_the_realtime_api_is_refused_with_the_reason(
    model: Path, value: str
) -> None:
    refusal = (
        rf"^VLLM_USE_RUST_FRONTEND='{value.strip()}': .* has no /v1/realtime, .*leave VLLM_USE"
    )
    with pytest.raises(SettingsError, match=refusal):
        engine_command({"VLLM_USE_RUST_FRONTEND": value}, model)


@pytest.mark.parametrize("value", ["", "0"])
def test_the_front_end_in_python_is_no_problem(model: Path, value: str) -> None:
    assert engine_command({"VLLM_USE_RUST_FRONTEND": value}, model)[:2] == ("vllm", "serve")


def test_saying_where_vllm_listens_anyway_changes_nothing(model: Path) -> None:
    assert options(model, SM_VLLM_PORT="8081", SM_VLLM_HOST="127.0.0.1") == ()


@pytest.mark.parametrize("name", ["SM_VLLM_", "SM_VLLM__"])
def test_a_variable_without_a_name_is_refused(model: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name}='x': it names no option of vLLM"):
        engine_command({name: "x"}, model)


def test_two_variables_for_one_option_are_refused_by_both_names(model: Path) -> None:
    with pytest.raises(SettingsError, match=r"SM_VLLM_max_model_len and SM_VLLM_MAX_MODEL_LEN are"):
        engine_command({"SM_VLLM_MAX_MODEL_LEN": "1", "SM_VLLM_max_model_len": "2"}, model)


def test_what_the_image_sets_can_be_taken_back(model: Path) -> None:
    assert options(model, SM_VLLM_LOAD_FORMAT="vllm-default") == ()


@pytest.mark.parametrize("value", ["", "  ", "vllm-default"])
def test_a_model_of_blanks_is_the_one_that_sagemaker_mounted(model: Path, value: str) -> None:
    assert engine_command({"SM_VLLM_MODEL": value}, model)[2] == str(model)


def test_the_model_s_name_is_taken_without_the_blanks_around_it(tmp_path: Path) -> None:
    command = engine_command({"SM_VLLM_MODEL": " mistralai/Voxtral "}, tmp_path / "none")
    assert command[2] == "mistralai/Voxtral"


def test_what_the_script_for_older_cuda_drivers_sets_reaches_vllm(
    model: Path, tmp_path: Path
) -> None:
    script = tmp_path / "start_cuda_compat.sh"
    script.write_text("export LD_LIBRARY_PATH=/usr/local/cuda/compat:$LD_LIBRARY_PATH\n")
    engine = tmp_path / "vllm"
    engine.write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH" "$@"\n')
    engine.chmod(0o755)
    command = engine_command({"SM_VLLM_COMPILATION_CONFIG": '{"a": "b c"}'}, model, script)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LD_LIBRARY_PATH": "/before"}
    said = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    path, *arguments = said.rstrip("\n").split(" ", 5)
    assert path == "/usr/local/cuda/compat:/before"
    assert arguments[:2] == ["serve", str(model)]
    assert arguments[-1] == '--compilation-config={"a": "b c"}'


@pytest.mark.parametrize(
    ("variables", "sessions"),
    [
        ({"SM_VLLM_MAX_NUM_SEQS": "4"}, 4),
        ({"SM_VLLM_max_num_seqs": " 8 "}, 8),
        ({"SM_VLLM_MAX_NUM_SEQS": "vllm-default"}, None),
        ({"SM_VLLM_MAX_NUM_SEQS": "many"}, None),
        ({"SM_VLLM_MAX_NUM_SEQS": "0"}, None),
        ({}, None),
    ],
)
def test_vllm_computes_as_many_sequences_at_once_as_the_container_says(
    variables: dict[str, str], sessions: int | None
) -> None:
    assert sessions_at_once(variables) == sessions
