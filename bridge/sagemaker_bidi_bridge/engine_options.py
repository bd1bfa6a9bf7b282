"""What the container's environment says to vLLM: `SM_VLLM_<NAME>` becomes `--<name>`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sagemaker_bidi_bridge.settings import SettingsError

PREFIX = "SM_VLLM_"
MODEL_FOLDER = Path("/opt/ml/model")
HOST = "127.0.0.1"
PORT = 8081

# The value that takes back what the image sets: the option is left out.
VLLM_DEFAULT = "vllm-default"

# AWS's images have it: it puts CUDA's compatibility libraries before those of an older driver.
CUDA_COMPAT = Path("/usr/local/bin/start_cuda_compat.sh")

# Where vLLM listens is between it and the bridge; one that listens elsewhere, or not at all, would
# leave the container unhealthy for ever.
_OUR_OWN = {"host": HOST, "port": str(PORT), "uds": None, "headless": "false"}


# vLLM's front end in Rust serves no /v1/realtime: the bridge's every session would be a 424.
_RUST = "VLLM_USE_RUST_FRONTEND"


@dataclass(frozen=True, slots=True)
class _Variable:
    """One variable of ours: its name, the option that it stands for, its value."""

    name: str
    option: str
    value: str


def engine_command(
    environ: Mapping[str, str],
    model_folder: Path = MODEL_FOLDER,
    cuda_compat: Path = CUDA_COMPAT,
) -> tuple[str, ...]:
    """Build the command that serves the model on 8081.

    `SM_VLLM_MAX_MODEL_LEN=45000` becomes `--max-model-len=45000`, in whatever case the name is
    written. A variable that is empty or `true` becomes the option alone, `false` its `--no-` form,
    and `vllm-default` nothing: it takes back what the image sets. `SM_VLLM_MODEL` names the model;
    without it the one that SageMaker has put into /opt/ml/model is served (K4).

    Args:
        environ: variable names to values, such as `os.environ`.
        model_folder: where SageMaker puts the model.
        cuda_compat: a script of the image that is read before vLLM starts, where it is there.

    Raises:
        SettingsError: there is no model, or a variable sets what is the container's own, names no
            option, names one that another variable names as well, or has vLLM serve no realtime
            API.
    """
    variables = list(_variables(environ))
    problems = [*_problems(variables), *_without_realtime(environ)]
    model = _value_of(variables, "model")
    if not model:
        model = str(model_folder)
        if not model_folder.is_dir() or not any(model_folder.iterdir()):
            problems.append(
                f"{model_folder} holds no model: mount a folder with the weights there (SageMaker "
                f"does, from ModelDataSource), or name a model in {PREFIX}MODEL"
            )
    if problems:
        raise SettingsError(problems, [])
    options = [
        _written(each)
        for each in sorted(variables, key=lambda each: each.option)
        if each.option not in ("model", *_OUR_OWN) and each.value != VLLM_DEFAULT
    ]
    command = ("vllm", "serve", model, f"--host={HOST}", f"--port={PORT}", *options)
    if not cuda_compat.is_file():
        return command
    # It is made to be read by a shell, and sets variables there.
    return ("bash", "-c", f'. "{cuda_compat}"; exec "$@"', "bash", *command)


def sessions_at_once(environ: Mapping[str, str]) -> int | None:
    """How many sequences vLLM computes at once (`SM_VLLM_MAX_NUM_SEQS`), where the container says.

    A session more would wait for its turn, unheard: the bridge refuses it.
    """
    value = _value_of(list(_variables(environ)), "max-num-seqs")
    return int(value) if value.isascii() and value.isdecimal() and int(value) else None


def api_key(environ: Mapping[str, str]) -> str | None:
    """The key that vLLM is started with (`SM_VLLM_API_KEY`), for the bridge to give it."""
    return _value_of(list(_variables(environ)), "api-key") or None


def _variables(environ: Mapping[str, str]) -> Iterator[_Variable]:
    for name in sorted(environ):
        if name.upper().startswith(PREFIX):
            option = name[len(PREFIX) :].lower().replace("_", "-")
            yield _Variable(name, option, environ[name].strip())


def _value_of(variables: list[_Variable], option: str) -> str:
    found = next((each.value for each in variables if each.option == option), "")
    return "" if found == VLLM_DEFAULT else found


def _problems(variables: list[_Variable]) -> Iterator[str]:
    first: dict[str, str] = {}
    for each in variables:
        if not each.option.strip("-"):
            yield f"{each.name}={each.value!r}: it names no option of vLLM; leave it out"
        elif each.option in first:
            yield (
                f"{each.name} and {first[each.option]} are both --{each.option} of vLLM; "
                "leave one out"
            )
        elif each.option in _OUR_OWN and each.value not in (VLLM_DEFAULT, _OUR_OWN[each.option]):
            yield (
                f"{each.name}={each.value!r}: vLLM listens on {HOST}:{PORT} here, behind the "
                f"bridge; leave {each.name} out"
            )
        first.setdefault(each.option, each.name)


def _without_realtime(environ: Mapping[str, str]) -> Iterator[str]:
    value = environ.get(_RUST, "").strip()
    if value not in ("", "0"):
        yield (
            f"{_RUST}={value!r}: vLLM's Rust front end has no /v1/realtime, which the bridge "
            f"speaks to; leave {_RUST} out"
        )


def _written(variable: _Variable) -> str:
    match variable.value.lower():
        case "" | "true":
            return f"--{variable.option}"
        case "false":
            return f"--no-{variable.option}"
        case _:
            return f"--{variable.option}={variable.value}"
