"""Configuration by environment."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from sagemaker_bidi_bridge import Settings, SettingsError, read_settings
from sagemaker_bidi_bridge.settings import describe_variables, variable


def test_an_empty_environment_gives_the_defaults_without_a_warning() -> None:
    assert read_settings({"PATH": "/bin"}) == (Settings(), [])


def test_settings_made_in_code_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_PORT", "eighty")
    assert Settings(host="::1").port == 8080


def test_each_variable_sets_its_field() -> None:
    settings, warnings = read_settings(
        {
            "BRIDGE_BACKEND_URL": "wss://model:9000/v1/realtime",
            "BRIDGE_BACKEND_API_KEY": "sesame",
            "BRIDGE_HEALTH_URL": "http://model:9001/up",
            "BRIDGE_HOST": "::",
            "BRIDGE_PORT": "9090",
            "BRIDGE_OPEN_TIMEOUT_MS": "150",
            "BRIDGE_HEALTH_TIMEOUT_MS": "500",
            "BRIDGE_DRAIN_SECONDS": "12.5",
            "BRIDGE_CLOSE_SECONDS": "1",
            "BRIDGE_STALL_SECONDS": "off",
            "BRIDGE_IDLE_SECONDS": "60",
            "BRIDGE_BACKEND_PING_SECONDS": "30",
            "BRIDGE_MAX_MESSAGE_BYTES": "off",
            "BRIDGE_MAX_SESSIONS": "2",
            "BRIDGE_STRICT_DATA_TYPE": "on",
            "BRIDGE_MODEL_STREAM_ERROR": "on",
            "BRIDGE_LOG_LEVEL": "DEBUG",
            "BRIDGE_LOG_FORMAT": "json",
        }
    )
    assert warnings == []
    assert settings == Settings(
        backend_url="wss://model:9000/v1/realtime",
        backend_api_key=SecretStr("sesame"),
        health_url="http://model:9001/up",
        host="::",
        port=9090,
        open_timeout_ms=150,
        health_timeout_ms=500,
        drain_seconds=12.5,
        close_seconds=1,
        stall_seconds=None,
        idle_seconds=60,
        backend_ping_seconds=30,
        max_message_bytes=None,
        max_sessions=2,
        strict_data_type=True,
        model_stream_error=True,
        log_level="debug",
        log_format="json",
    )


@pytest.mark.parametrize(
    ("name", "value", "expects"),
    [
        ("BRIDGE_PORT", "http", "a whole number from 0 to 65535"),
        ("BRIDGE_PORT", "65536", "a whole number from 0 to 65535"),
        ("BRIDGE_PORT", "", "a whole number from 0 to 65535"),
        ("BRIDGE_BACKEND_URL", "http://127.0.0.1:8081", "a ws or wss URL"),
        ("BRIDGE_BACKEND_URL", "ws://127.0.0.1:port/", "a ws or wss URL"),
        ("BRIDGE_BACKEND_URL", "ws://", "a ws or wss URL"),
        ("BRIDGE_HEALTH_URL", "/health", "a http or https URL"),
        ("BRIDGE_HOST", "http://0.0.0.0", "an address or a host name"),
        ("BRIDGE_OPEN_TIMEOUT_MS", "0", "a whole number of milliseconds from 1"),
        ("BRIDGE_DRAIN_SECONDS", "nan", "a number of seconds from 0 to 3600"),
        ("BRIDGE_DRAIN_SECONDS", "-1", "a number of seconds from 0 to 3600"),
        ("BRIDGE_MAX_SESSIONS", "0", "a whole number of sessions from 1 to 100000, or off"),
        ("BRIDGE_MODEL_STREAM_ERROR", "maybe", "on or off"),
        ("BRIDGE_LOG_LEVEL", "loud", "one of debug, info, warning, error"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(name: str, value: str, expects: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({name: value})
    (problem,) = error.value.problems
    assert problem.startswith(f"{name}={value!r} is wrong: expected {expects}")


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({"BRIDGE_PORT": "x", "BRIDGE_DRAIN_SECONDS": "y", "BRIDGE_PROT": "1"})
    assert len(error.value.problems) == 2
    assert len(error.value.warnings) == 1


def test_an_unknown_variable_is_named_with_the_closest_known_one() -> None:
    _, warnings = read_settings({"BRIDGE_DRAIN_SECS": "3"})
    assert warnings == [
        "BRIDGE_DRAIN_SECS is not a variable of the bridge; the closest is BRIDGE_DRAIN_SECONDS"
    ]


@pytest.mark.parametrize(
    ("name", "value", "clause"),
    [
        ("BRIDGE_OPEN_TIMEOUT_MS", "250", "O3"),
        ("BRIDGE_HEALTH_TIMEOUT_MS", "2000", "K4"),
        ("BRIDGE_DRAIN_SECONDS", "28", "K4"),
    ],
)
def test_a_value_that_sagemaker_does_not_wait_for_is_a_warning(
    name: str, value: str, clause: str
) -> None:
    _, warnings = read_settings({name: value})
    assert [name in warning and clause in warning for warning in warnings] == [True]


@pytest.mark.parametrize(
    ("backend", "health"),
    [
        ("ws://127.0.0.1:8081/v1/realtime", "http://127.0.0.1:8081/health"),
        ("wss://model/v1/realtime?x=1", "https://model/health"),
    ],
)
def test_the_health_page_is_on_the_backend_unless_it_is_set(backend: str, health: str) -> None:
    assert Settings(backend_url=backend).backend_health_url == health
    assert Settings(health_url="http://x/up").backend_health_url == "http://x/up"


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"VLLM_API_KEY": "vllm's"}, "vllm's"),
        ({"VLLM_API_KEY": "vllm's", "BRIDGE_BACKEND_API_KEY": "ours"}, "ours"),
        ({"VLLM_API_KEY": ""}, None),
    ],
)
def test_the_key_is_the_bridges_own_or_else_vllms(environ: dict[str, str], key: str | None) -> None:
    found = read_settings(environ)[0].backend_api_key
    assert (found and found.get_secret_value()) == key


@pytest.mark.parametrize("name", ["VLLM_API_KEY", "BRIDGE_BACKEND_API_KEY"])
def test_a_key_is_never_shown_wrong_or_right(name: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({name: "open sesame"})
    assert error.value.problems == [f"{name} is wrong: expected printable ASCII without a blank"]
    assert "sesame" not in repr(read_settings({name: "sesame"}))


def test_the_description_names_every_variable() -> None:
    text = describe_variables()
    assert all(variable(field) in text for field in Settings.model_fields)
    assert "BRIDGE_MAX_MESSAGE_BYTES  (default: 16777216)" in text
    assert "BRIDGE_BACKEND_PING_SECONDS  (default: off)" in text


def test_the_readme_names_every_variable() -> None:
    text = (Path(__file__).parents[2] / "bridge/README.md").read_text()
    assert [
        variable(each) for each in Settings.model_fields if f"`{variable(each)}`" not in text
    ] == []
