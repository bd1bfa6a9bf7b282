"""The bridge's configuration: one environment variable for each field of `Settings`."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

PREFIX = "BRIDGE_"

SAGEMAKER_ACCEPT_MS = 250  # O3
SAGEMAKER_PING_MS = 2_000  # K4
SAGEMAKER_KILL_SECONDS = 30  # K4

# What an Authorization header takes after "Bearer " (RFC 6750, 2.1), and what people use besides.
_KEY = re.compile(r"[!-~]+")
_PATH = re.compile(r"(?:/[A-Za-z0-9\-._]+)+")  # O2, W2
_OWN_PATHS = ("/invocations-bidirectional-stream", "/ping", "/health")
_KEY_VARIABLES = ("BRIDGE_BACKEND_API_KEY", "VLLM_API_KEY")


class SettingsError(ValueError):
    """One or more variables hold a value that the bridge cannot use.

    Args:
        problems: one sentence a variable, naming the variable, its value and what is expected.
        warnings: a sentence for each unknown variable.
    """

    def __init__(self, problems: list[str], warnings: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.warnings = warnings


@dataclass(frozen=True, slots=True)
class Expects:
    """What a variable takes, in words for an error and for `--help`."""

    text: str


def _off_is_none(value: object) -> object:
    return None if isinstance(value, str) and value.lower() == "off" else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _host_name(text: str) -> str:
    if not text or text != text.strip() or "/" in text:
        raise ValueError(text)
    return text


def _paths(text: str) -> str:
    for path in filter(None, map(str.strip, text.split(","))):
        if not _PATH.fullmatch(path) or path in _OWN_PATHS:
            raise ValueError(path)
    return text


def _key(secret: SecretStr | None) -> SecretStr | None:
    if secret is None or not secret.get_secret_value():
        return None
    if not _KEY.fullmatch(secret.get_secret_value()):
        raise ValueError("a character that no header takes")
    return secret


def _url_of(*schemes: str) -> AfterValidator:
    def check(text: str) -> str:
        url = urlsplit(text)
        if url.scheme not in schemes or not url.hostname or url.fragment or url.username:
            raise ValueError(text)
        _ = url.port  # raises ValueError for a port that is no number
        return text

    return AfterValidator(check)


def _url_words(*schemes: str) -> Expects:
    return Expects(f"a {' or '.join(schemes)} URL, such as {schemes[0]}://127.0.0.1:8081/path")


_OR_OFF = BeforeValidator(_off_is_none)

Switch = Annotated[bool, Expects("on or off")]
Milliseconds = Annotated[
    int, Field(ge=1, le=60_000), Expects("a whole number of milliseconds from 1 to 60000")
]
Limit = Annotated[
    Annotated[float, Field(ge=0.05, le=3_600)] | None,
    _OR_OFF,
    Expects("a number of seconds from 0.05 to 3600, or off"),
]


class Settings(BaseSettings):
    """What the bridge runs with; each field's description says what it means.

    Made in code it holds what it is given, and reads no environment: `read_settings` does.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        populate_by_name=True,
        validate_default=False,
        hide_input_in_errors=True,
    )

    backend_url: Annotated[str, _url_of("ws", "wss"), _url_words("ws", "wss")] = Field(
        default="ws://127.0.0.1:8081/v1/realtime", description="vLLM's realtime endpoint."
    )
    backend_paths: Annotated[
        str,
        AfterValidator(_paths),
        Expects("paths of letters, digits and -._ with commas between, such as /v1/realtime"),
    ] = Field(
        default="",
        description="Paths that are passed on to the backend as they are, for a client that names "
        "one as its invocation path (O2): vLLM-Omni's /v1/audio/speech/stream, say.",
    )
    backend_api_key: Annotated[
        SecretStr | None, AfterValidator(_key), Expects("printable ASCII without a blank")
    ] = Field(
        default=None,
        validation_alias=AliasChoices(*_KEY_VARIABLES),
        description="The key that vLLM was started with. Default: what VLLM_API_KEY holds.",
    )
    health_url: Annotated[str | None, _url_of("http", "https"), _url_words("http", "https")] = (
        Field(
            default=None,
            description="vLLM's health page, behind /ping. Default: /health on the backend's host "
            "and port.",
        )
    )
    host: Annotated[str, AfterValidator(_host_name), Expects("an address or a host name")] = Field(
        default="0.0.0.0", description="The address to listen on."
    )
    port: Annotated[int, Field(ge=0, le=65_535), Expects("a whole number from 0 to 65535")] = Field(
        default=8080, description="The port to listen on; 0 picks a free one."
    )
    open_timeout_ms: Milliseconds = Field(
        default=200,
        description="How long vLLM has to accept before the upgrade is refused; SageMaker waits "
        "250 (O3).",
    )
    health_timeout_ms: Milliseconds = Field(
        default=1_000,
        description="How long vLLM has to answer its health page; SageMaker waits 2000 for /ping "
        "(K4).",
    )
    drain_seconds: Annotated[
        float, Field(ge=0, le=3_600), Expects("a number of seconds from 0 to 3600")
    ] = Field(
        default=25.0,
        description="After SIGTERM, how long open sessions may go on; SageMaker kills at 30 (K4).",
    )
    close_seconds: Annotated[
        float, Field(ge=0.05, le=60), Expects("a number of seconds from 0.05 to 60")
    ] = Field(
        default=2.0,
        description="How long a side has to answer a Close frame before its connection is cut.",
    )
    stall_seconds: Limit = Field(
        default=120.0,
        description="How long a side may leave one message untaken before the session is ended.",
    )
    idle_seconds: Limit = Field(
        default=None,
        description="How long a session may pass no message in either direction before it is "
        "ended, so that another may have its place.",
    )
    hang_seconds: Limit = Field(
        default=30.0,
        description="How long, and for how much audio, vLLM may answer no session at all before "
        "/ping says 503; more than the longest segment that the model answers by.",
    )
    backend_ping_seconds: Limit = Field(
        default=None,
        description="Ping vLLM this often and end the session when a pong takes as long. A busy "
        "model answers late, so it is off.",
    )
    max_message_bytes: Annotated[
        Annotated[int, Field(ge=1, le=2**40)] | None,
        _OR_OFF,
        Expects(f"a whole number of bytes from 1 to {2**40}, or off"),
    ] = Field(default=16 * 1024 * 1024, description="The largest message in either direction.")
    max_sessions: Annotated[
        Annotated[int, Field(ge=1, le=100_000)] | None,
        _OR_OFF,
        Expects("a whole number of sessions from 1 to 100000, or off"),
    ] = Field(
        default=None,
        description="Sessions beyond this number are refused; set it to vLLM's MAX_NUM_SEQS.",
    )
    strict_data_type: Switch = Field(
        default=False,
        description="Pass binary messages on as they are, which vLLM does not take, in place of "
        "reading them as text: a client that sets no DataType sends its JSON so.",
    )
    model_stream_error: Switch = Field(
        default=False,
        description="Before a Close frame that is not 1000, also send a ModelStreamError text "
        "frame (E4).",
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(_lower),
        Expects("one of debug, info, warning, error"),
    ] = Field(default="info", description="What is logged.")
    log_format: Annotated[
        Literal["text", "json"], BeforeValidator(_lower), Expects("one of text, json")
    ] = Field(default="text", description="How: lines for people, or one JSON object a line.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing but what the caller gives."""
        return (init_settings,)

    @property
    def backend_health_url(self) -> str:
        """Where vLLM's health is asked: `health_url`, or `/health` on the backend's own port."""
        if self.health_url is not None:
            return self.health_url
        url = urlsplit(self.backend_url)
        scheme = "https" if url.scheme == "wss" else "http"
        return urlunsplit((scheme, url.netloc, "/health", "", ""))

    @property
    def passed_on(self) -> tuple[str, ...]:
        """The paths of `backend_paths`, each once."""
        given = (path.strip() for path in self.backend_paths.split(","))
        return tuple(dict.fromkeys(filter(None, given)))

    def backend_at(self, path: str) -> str:
        """The backend's URL for a path that a client asked for."""
        if path not in self.passed_on:
            return self.backend_url
        url = urlsplit(self.backend_url)
        return urlunsplit((url.scheme, url.netloc, path, "", ""))

    def warnings(self) -> list[str]:
        """Sentences about values that are legal, and that SageMaker will not wait for (O3, K4)."""
        found = []
        if self.open_timeout_ms >= SAGEMAKER_ACCEPT_MS:
            found.append(
                f"BRIDGE_OPEN_TIMEOUT_MS={self.open_timeout_ms}: SageMaker gives up on the "
                f"upgrade after {SAGEMAKER_ACCEPT_MS} ms (O3); set it lower"
            )
        if self.health_timeout_ms >= SAGEMAKER_PING_MS:
            found.append(
                f"BRIDGE_HEALTH_TIMEOUT_MS={self.health_timeout_ms}: SageMaker waits "
                f"{SAGEMAKER_PING_MS} ms for /ping (K4); set it lower"
            )
        if self.drain_seconds + self.close_seconds >= SAGEMAKER_KILL_SECONDS - 1:
            found.append(
                f"BRIDGE_DRAIN_SECONDS={self.drain_seconds:g} and "
                f"BRIDGE_CLOSE_SECONDS={self.close_seconds:g}: SageMaker kills the container "
                f"{SAGEMAKER_KILL_SECONDS} s after SIGTERM (K4); keep the sum under "
                f"{SAGEMAKER_KILL_SECONDS - 1}"
            )
        return found


def variable(field: str) -> str:
    """The name of a field's environment variable."""
    return PREFIX + field.upper()


def read_settings(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Read the `BRIDGE_` variables of an environment.

    Args:
        environ: variable names to values, such as `os.environ`.

    Returns:
        The settings, and a sentence for each unknown variable or doubtful value.

    Raises:
        SettingsError: naming every variable with a wrong value.
    """
    warnings = list(_unknown(environ))
    try:
        settings = Settings(**_Environment(environ)())
    except ValidationError as error:
        raise SettingsError(list(_problems(error, environ)), warnings) from None
    return settings, warnings + settings.warnings()


def describe_variables() -> str:
    """The variables as a text for a terminal: name, default, what is expected, meaning."""
    lines = []
    for field, info in Settings.model_fields.items():
        match info.default:
            case None | False | "":
                derived = field in ("health_url", "backend_api_key")
                default = "derived" if derived else "off"
            case float() as seconds:
                default = f"{seconds:g}"
            case value:
                default = str(value)
        lines.append(f"  {variable(field)}  (default: {default})")
        lines.append(f"      {info.description}")
        lines.append(f"      Expects {_expects(field)}.")
    return "\n".join(lines)


class _Environment(EnvSettingsSource):
    """Reads a mapping in place of this process's own environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): text for name, text in self._environ.items() if name.isupper()}


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    known = [variable(field) for field in Settings.model_fields]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            closest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            yield f"{name} is not a variable of the bridge; the closest is {closest}"


def _problems(error: ValidationError, environ: Mapping[str, str]) -> Iterator[str]:
    # A union tells of each of its members.
    for place in dict.fromkeys(str(each["loc"][0]) for each in error.errors(include_input=False)):
        if place in _KEY_VARIABLES or place == "backend_api_key":
            name = next(each for each in _KEY_VARIABLES if each in environ)
            # Its value is a secret.
            yield f"{name} is wrong: expected {_expects('backend_api_key')}"
        else:
            name = variable(place)
            yield f"{name}={environ[name]!r} is wrong: expected {_expects(place)}"


def _expects(field: str) -> str:
    metadata: list[Any] = Settings.model_fields[field].metadata
    return next(each.text for each in metadata if isinstance(each, Expects))
