"""The command of vLLM from the container's environment: `SM_VLLM_<NAME>` becomes `--<name>`."""

from collections.abc import Mapping
from pathlib import Path

from sagemaker_bidi_bridge.settings import SettingsError

PREFIX = "SM_VLLM_"
MODEL_FOLDER = Path("/opt/ml/model")
HOST = "127.0.0.1"
PORT = 8081

# Where vLLM listens is between it and the bridge; a second listener on 8080 would be a riddle.
_OUR_OWN = {f"{PREFIX}HOST": HOST, f"{PREFIX}PORT": str(PORT)}


def engine_command(
    environ: Mapping[str, str], model_folder: Path = MODEL_FOLDER
) -> tuple[str, ...]:
    """Build the command that serves the model on 8081.

    `SM_VLLM_MAX_MODEL_LEN=45000` becomes `--max-model-len=45000`. A variable that is empty or
    `true` becomes the option alone, `false` its `--no-` form. `SM_VLLM_MODEL` names the model;
    without it the one that SageMaker has put into /opt/ml/model is served (K4).

    Args:
        environ: variable names to values, such as `os.environ`.
        model_folder: where SageMaker puts the model.

    Raises:
        SettingsError: there is no model, or a variable sets what is the container's own.
    """
    problems = [
        f"{name}={environ[name]!r}: vLLM listens on {HOST}:{PORT} here, behind the bridge; "
        f"leave {name} out"
        for name, fixed in _OUR_OWN.items()
        if environ.get(name, fixed) != fixed
    ]
    model = environ.get(f"{PREFIX}MODEL", "")
    if not model:
        model = str(model_folder)
        if not model_folder.is_dir() or not any(model_folder.iterdir()):
            problems.append(
                f"{model_folder} holds no model: mount a folder with the weights there (SageMaker "
                f"does, from ModelDataSource), or name a model in {PREFIX}MODEL"
            )
    if problems:
        raise SettingsError(problems, [])
    skipped = {f"{PREFIX}MODEL", *_OUR_OWN}
    options = [
        _option(name.removeprefix(PREFIX), environ[name].strip())
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in skipped
    ]
    return ("vllm", "serve", model, f"--host={HOST}", f"--port={PORT}", *options)


def _option(name: str, value: str) -> str:
    option = name.lower().replace("_", "-")
    match value.lower():
        case "" | "true":
            return f"--{option}"
        case "false":
            return f"--no-{option}"
        case _:
            return f"--{option}={value}"
