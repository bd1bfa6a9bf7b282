"""`SM_VLLM_` variables as options of `vllm serve`."""

from pathlib import Path

import pytest

from sagemaker_bidi_bridge.engine_options import engine_command
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


def test_the_port_is_the_containers_own(model: Path) -> None:
    with pytest.raises(SettingsError, match=r"SM_VLLM_PORT='8080': vLLM listens on 127.0.0.1:8081"):
        engine_command({"SM_VLLM_PORT": "8080"}, model)
