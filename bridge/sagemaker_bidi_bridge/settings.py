"""The bridge's configuration: one environment variable for each field of `Settings`."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

PREFIX = "BRIDGE_"

SAGEMAKER_ACCEPT_MS = 250  # O3
SAGEMAKER_PING_MS = 2_000  # K4
SAGEMAKER_KILL_SECONDS = 30  # K4


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
class Settings:
    """What the bridge runs with; `VARIABLES` says what each field means and how it is set."""

    backend_url: str = "ws://127.0.0.1:8081/v1/realtime"
    health_url: str | None = None
    host: str = "0.0.0.0"
    port: int = 8080
    open_timeout_ms: int = 200
    health_timeout_ms: int = 1_000
    drain_seconds: float = 25.0
    close_seconds: float = 2.0
    stall_seconds: float | None = 120.0
    hang_seconds: float | None = 30.0
    backend_ping_seconds: float | None = None
    max_message_bytes: int | None = 16 * 1024 * 1024
    max_sessions: int | None = None
    model_stream_error: bool = False
    log_level: str = "info"

    @property
    def backend_health_url(self) -> str:
        """Where vLLM's health is asked: `health_url`, or `/health` on the backend's own port."""
        if self.health_url is not None:
            return self.health_url
        url = urlsplit(self.backend_url)
        scheme = "https" if url.scheme == "wss" else "http"
        return urlunsplit((scheme, url.netloc, "/health", "", ""))

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


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: the field it sets, how it is read, what it expects and means."""

    field: str
    convert: Callable[[str], object]
    expects: str
    meaning: str

    @property
    def name(self) -> str:
        return PREFIX + self.field.upper()


def _variable(field: str, kind: tuple[Callable[[str], object], str], meaning: str) -> Variable:
    return Variable(field, kind[0], kind[1], meaning)


def _whole(low: int, high: int, unit: str = "") -> tuple[Callable[[str], object], str]:
    def convert(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise ValueError(text)
        return number

    return convert, f"a whole number {unit} from {low} to {high}".replace("  ", " ")


def _seconds(low: float, high: float) -> tuple[Callable[[str], object], str]:
    def convert(text: str) -> float:
        number = float(text)
        if not low <= number <= high:  # also refuses nan
            raise ValueError(text)
        return number

    return convert, f"a number of seconds from {low:g} to {high:g}"


def _or_off(kind: tuple[Callable[[str], object], str]) -> tuple[Callable[[str], object], str]:
    convert, expects = kind
    return (lambda text: None if text.lower() == "off" else convert(text)), f"{expects}, or off"


def _url(*schemes: str) -> tuple[Callable[[str], object], str]:
    def convert(text: str) -> str:
        url = urlsplit(text)
        if url.scheme not in schemes or not url.hostname or url.fragment or url.username:
            raise ValueError(text)
        _ = url.port  # raises ValueError for a port that is no number
        return text

    return convert, f"a {' or '.join(schemes)} URL, such as {schemes[0]}://127.0.0.1:8081/path"


def _choice(*names: str) -> tuple[Callable[[str], object], str]:
    def convert(text: str) -> str:
        if text.lower() not in names:
            raise ValueError(text)
        return text.lower()

    return convert, "one of " + ", ".join(names)


def _name(text: str) -> str:
    if not text or text != text.strip() or "/" in text:
        raise ValueError(text)
    return text


def _on_off() -> tuple[Callable[[str], object], str]:
    words = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}

    def convert(text: str) -> bool:
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]

    return convert, "on or off"


VARIABLES = (
    _variable("backend_url", _url("ws", "wss"), "vLLM's realtime endpoint."),
    _variable(
        "health_url",
        _url("http", "https"),
        "vLLM's health page, behind /ping. Default: /health on the backend's host and port.",
    ),
    _variable("host", (_name, "an address or a host name"), "The address to listen on."),
    _variable("port", _whole(0, 65_535), "The port to listen on; 0 picks a free one."),
    _variable(
        "open_timeout_ms",
        _whole(1, 60_000, "of milliseconds"),
        "How long vLLM has to accept before the upgrade is refused; SageMaker waits 250 (O3).",
    ),
    _variable(
        "health_timeout_ms",
        _whole(1, 60_000, "of milliseconds"),
        "How long vLLM has to answer its health page; SageMaker waits 2000 for /ping (K4).",
    ),
    _variable(
        "drain_seconds",
        _seconds(0, 3_600),
        "After SIGTERM, how long open sessions may go on; SageMaker kills at 30 (K4).",
    ),
    _variable(
        "close_seconds",
        _seconds(0.05, 60),
        "How long a side has to answer a Close frame before its connection is cut.",
    ),
    _variable(
        "stall_seconds",
        _or_off(_seconds(0.05, 3_600)),
        "How long a side may leave one message untaken before the session is ended.",
    ),
    _variable(
        "hang_seconds",
        _or_off(_seconds(0.05, 3_600)),
        "How long vLLM may leave audio without a delta, in every session, before /ping says 503.",
    ),
    _variable(
        "backend_ping_seconds",
        _or_off(_seconds(0.05, 3_600)),
        "Ping vLLM this often and end the session when a pong takes as long. A busy model "
        "answers late, so it is off.",
    ),
    _variable(
        "max_message_bytes",
        _or_off(_whole(1, 2**40, "of bytes")),
        "The largest message in either direction.",
    ),
    _variable(
        "max_sessions",
        _or_off(_whole(1, 100_000, "of sessions")),
        "Sessions beyond this number are refused; set it to vLLM's MAX_NUM_SEQS.",
    ),
    _variable(
        "model_stream_error",
        _on_off(),
        "Before a Close frame that is not 1000, also send a ModelStreamError text frame (E4).",
    ),
    _variable("log_level", _choice("debug", "info", "warning", "error"), "What is logged."),
)


def read_settings(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Read the `BRIDGE_` variables of an environment.

    Args:
        environ: variable names to values, such as `os.environ`.

    Returns:
        The settings, and a sentence for each unknown variable or doubtful value.

    Raises:
        SettingsError: naming every variable with a wrong value.
    """
    known = {variable.name: variable for variable in VARIABLES}
    values: dict[str, Any] = {}
    problems: list[str] = []
    warnings: list[str] = []
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        text = environ[name]
        if (variable := known.get(name)) is None:
            closest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            warnings.append(f"{name} is not a variable of the bridge; the closest is {closest}")
            continue
        try:
            values[variable.field] = variable.convert(text)
        except ValueError:
            problems.append(f"{name}={text!r} is wrong: expected {variable.expects}")
    if problems:
        raise SettingsError(problems, warnings)
    settings = Settings(**values)
    return settings, warnings + settings.warnings()


def describe_variables() -> str:
    """The variables as a text for a terminal: name, default, what is expected, meaning."""
    defaults = Settings()
    lines = []
    for variable in VARIABLES:
        match getattr(defaults, variable.field):
            case None | False:
                default = "off" if variable.field != "health_url" else "derived"
            case float() as seconds:
                default = f"{seconds:g}"
            case value:
                default = str(value)
        lines.append(f"  {variable.name}  (default: {default})")
        lines.append(f"      {variable.meaning}")
        lines.append(f"      Expects {variable.expects}.")
    return "\n".join(lines)
