"""A configuration file is read over the defaults; what does not fit is named with its place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.config import TEST_KEY, Config, ConfigError, load_config
from emulator.contract.credentials import Credentials
from emulator.contract.endings import CLEAN
from emulator.contract.errors import StreamError
from emulator.contract.settings import ContractSettings
from emulator.hosting.endpoints import Variant
from emulator.transport.http2.settings import Http2Settings

type Load = Callable[[str], Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a file of this text, which messages call `bidi.toml`."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, **options: Any) -> Config:
        Path("bidi.toml").write_text(text, "utf-8")
        return load_config(Path("bidi.toml"), options)

    return load


def test_without_a_file_the_defaults_are_in_force() -> None:
    config = load_config()
    assert (config.host, config.port, config.region, config.time_scale) == (
        "127.0.0.1",
        8443,
        None,
        1.0,
    )
    assert config.contract_settings() == ContractSettings()
    assert config.http2_settings() == Http2Settings()
    assert config.keys() == {TEST_KEY.access_key_id: TEST_KEY}
    assert config.endpoint_list() == []


def test_a_file_sets_what_it_names_and_leaves_the_rest(load: Load) -> None:
    config = load('port = 9000\nregion = "eu-west-1"\nunknown_keys = "refuse"\nnames = ["a.test"]')
    assert (config.host, config.port) == ("127.0.0.1", 9000)
    assert (config.region, config.unknown_keys, config.names) == (
        "eu-west-1",
        "refuse",
        ("a.test",),
    )


def test_options_win_over_the_file(load: Any) -> None:
    config = load("port = 9000\ntime_scale = 2", port=9001)
    assert (config.port, config.time_scale) == (9001, 2.0)


# --- endpoints ------------------------------------------------------------------------------


@pytest.mark.clause("O8")
def test_an_endpoint_is_one_container_or_variants(load: Load) -> None:
    config = load(
        """
        [endpoints.speech]
        url = "ws://127.0.0.1"

        [[endpoints.shared.variants]]
        name = "blue"
        url = "http://models:9000"
        weight = 3
        container = "Container-1"

        [[endpoints.shared.variants]]
        name = "green"
        url = "ws://[::1]:9000/"
        """
    )
    assert {endpoint.name: endpoint.variants for endpoint in config.endpoint_list()} == {
        "speech": (Variant("AllTraffic", "ws://127.0.0.1:8080"),),
        "shared": (
            Variant("blue", "ws://models:9000", 3.0, "Container-1"),
            Variant("green", "ws://[::1]:9000", 1.0, "primary"),
        ),
    }


def test_endpoints_of_the_options_are_added_to_the_files(load: Any) -> None:
    config = load(
        'endpoints.a.url = "ws://a:1"\nendpoints.b.url = "ws://b:1"',
        endpoints={"b": {"url": "ws://b:2"}, "c": {"url": "ws://c:2"}},
    )
    assert {each.name: each.variants[0].url for each in config.endpoint_list()} == {
        "a": "ws://a:1",
        "b": "ws://b:2",
        "c": "ws://c:2",
    }


# --- recordings -----------------------------------------------------------------------------


def test_a_folder_given_as_an_option_leaves_the_rest_of_the_files_record_in_force(
    load: Any,
) -> None:
    config = load(
        'record = {directory = "a", redact = true, vllm = "0.32"}', record={"directory": "b"}
    )
    record = config.record
    assert (record.directory, record.redact, record.vllm) == (Path("b"), True, "0.32")


def test_what_answers_is_unknown_to_the_recordings_unless_the_file_tells(load: Load) -> None:
    silent = load("record.directory = 'a'").record
    told = load("record = {directory = 'a', provenance = 'real engine'}").record
    assert silent is not None
    assert told is not None
    assert silent.header().provenance == "unknown"
    assert told.header().provenance == "real engine"


# --- credentials ----------------------------------------------------------------------------


@pytest.mark.clause("O6")
def test_key_pairs_of_the_file_are_known_beside_the_test_pair(load: Load) -> None:
    config = load(
        """
        [[credentials]]
        access_key_id = "AKIDLONG"
        secret_access_key = "secret one"

        [[credentials]]
        access_key_id = "ASIASHORT"
        secret_access_key = "secret two"
        session_token = "a token"
        expires_at = 1.5
        may_invoke = false
        """
    )
    assert config.keys() == {
        TEST_KEY.access_key_id: TEST_KEY,
        "AKIDLONG": Credentials("AKIDLONG", "secret one"),
        "ASIASHORT": Credentials("ASIASHORT", "secret two", "a token", 1.5, may_invoke=False),
    }


# --- the contract's settings ----------------------------------------------------------------


@pytest.mark.clause("K3")
def test_the_contracts_numbers_and_errors_are_set_in_a_table(load: Load) -> None:
    settings = load(
        """
        [contract]
        lifetime = 90
        ping_interval = inf
        reassemble = true
        missed_pongs_error = { event = "InternalStreamFailure", code = "", message = "silent" }

        [contract.lifetime_error]
        event = "error"
        code = "TooOld"
        message = "{seconds} s"
        """
    ).contract_settings()
    assert settings == ContractSettings(
        lifetime=90.0,
        ping_interval=math.inf,
        reassemble=True,
        missed_pongs_error=StreamError("InternalStreamFailure", "", "silent"),
        lifetime_error=StreamError("error", "TooOld", "{seconds} s"),
    )


@pytest.mark.clause("E2")
def test_close_codes_are_the_names_of_tables_and_keep_the_defaults_of_the_others(
    load: Load,
) -> None:
    policy = load(
        """
        [contract.close_policy.rules.1000]
        error = { event = "ModelStreamError", code = "StreamBroken", message = "Input broken" }
        [contract.close_policy.rules.4000]
        [contract.close_policy.otherwise]
        error = { event = "ModelStreamError", code = "CLOSED_{code}", message = "{reason}" }
        """
    ).contract_settings()
    close = policy.close_policy.error
    assert close(1000, "") == StreamError("ModelStreamError", "StreamBroken", "Input broken")
    assert policy.close_policy.rules[4000] == CLEAN
    assert close(4000, "x") is None
    assert close(1005, "") is None
    assert close(1011, "x") == StreamError("ModelStreamError", "CLOSED_1011", "x")


def test_the_http2_layers_limits_are_set_in_a_table(load: Load) -> None:
    assert load("http2.max_streams = 3").http2_settings() == Http2Settings(max_streams=3)


def test_a_limit_that_is_off_is_off_in_a_worker_too() -> None:
    told = Config(contract={"idle_seconds": math.inf}).model_dump_json(exclude_defaults=True)
    assert Config.model_validate_json(told).contract_settings().idle_seconds == math.inf


def test_settings_given_as_options_are_read_the_same() -> None:
    rules = {"1011": {"error": None}}
    config = load_config(overrides={"contract": {"close_policy": {"rules": rules}}})
    assert config.contract_settings().close_policy.error(1011, "x") is None


# --- what does not fit ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("port = 70000", "port", "less than or equal to 65535 (received 70000)"),
        ('port = "x"', "port", "valid integer"),
        ("time_scale = 0", "time_scale", "greater than 0 (received 0)"),
        ("time_scale = inf", "time_scale", "finite number (received inf)"),
        ("time_scale = nan", "time_scale", "(received nan)"),
        ('unknown_keys = "maybe"', "unknown_keys", "'accept' or 'refuse' (received 'maybe')"),
        ("prot = 1", "prot", "no such setting"),
        ("endpoints = 5", "endpoints", "(received 5)"),
        ("endpoints.a = 5", "endpoints.a", "valid dictionary"),
        ("endpoints.a.uri = 'ws://x'", "endpoints.a.uri", "no such setting"),
        ("endpoints.a.url = 'wss://x'", "endpoints.a.url", "must begin with ws://"),
        ("endpoints.a.url = 'ws://x/path'", "endpoints.a.url", "has a path; write ws://HOST:PORT"),
        ("endpoints.a_b.url = 'ws://x'", "endpoints.a_b", "letters, digits and hyphens"),
        ("endpoints.a = {}", "endpoints.a", "give either url or variants"),
        (
            "endpoints.a = {url = 'ws://x', variants = [{name = 'b', url = 'ws://x'}]}",
            "endpoints.a",
            "give either url or variants",
        ),
        (
            "endpoints.a.variants = [{name = 'b', url = 'ws://x'}, {name = 'b', url = 'ws://y'}]",
            "endpoints.a.variants",
            "two variants share a name: b, b",
        ),
        (
            "endpoints.a.variants = [{name = 'b', url = 'ws://x', weight = 0}]",
            "endpoints.a.variants",
            "every weight is 0",
        ),
        (
            "endpoints.a.variants = [{name = 'b', url = 'ws://x', weight = inf}]",
            "endpoints.a.variants.0.weight",
            "finite number",
        ),
        (
            "endpoints.a.variants = [{name = '-', url = 'ws://x'}]",
            "endpoints.a.variants.0.name",
            "(received '-')",
        ),
        ("host = ''", "host", "127.0.0.1 for this machine alone, or 0.0.0.0 for every interface"),
        ("host = ' '", "host", "is empty"),
        (
            "region = ''",
            "region",
            "name one, such as us-east-1, or leave it out to take any (received '')",
        ),
        ("endpoints.a.url = 'ws://user:pw@x'", "endpoints.a.url", "(received 'ws://…@x')"),
        (
            "endpoints.a.url = 'https://user@x/a'",
            "endpoints.a.url",
            "which nothing sends; leave it out",
        ),
        ("[[credentials]]", "credentials.0.access_key_id", "Field required"),
        (
            "[[credentials]]\naccess_key_id = ''\nsecret_access_key = 'x'",
            "credentials.0.access_key_id",
            "is empty; no client signs with that",
        ),
        (
            "[[credentials]]\naccess_key_id = 'A'\nsecret_access_key = ''",
            "credentials.0.secret_access_key",
            "is empty; no client signs with that",
        ),
        (
            "[[credentials]]\naccess_key_id = 'A'\nsecret_access_key = 'x'\n"
            "[[credentials]]\naccess_key_id = 'A'\nsecret_access_key = 'y'",
            "credentials",
            "two have the access key id A",
        ),
        ("contract.lifetme = 5", "contract.lifetme", "no such setting; there are accept_seconds, "),
        ("contract.lifetime = 'x'", "contract.lifetime", "valid number"),
        ("contract.lifetime = -1", "contract", "lifetime must be more than 0 (received -1.0)"),
        ("contract.missed_pongs = 1.5", "contract.missed_pongs", "(received 1.5)"),
        ("contract = 5", "contract", "(received 5)"),
        (
            "contract.lifetime_error = {event = 'error', code = 'x'}",
            "contract.lifetime_error.message",
            "Field required",
        ),
        (
            "contract.lifetime_error = {event = 'error', code = 'x', message = 'y', mesage = 'z'}",
            "contract.lifetime_error.mesage",
            "no such setting",
        ),
        ("contract.close_policy.rule = {}", "contract.close_policy.rule", "no such setting"),
        (
            "contract.close_policy.rules.normal = {}",
            "contract.close_policy.rules.normal",
            "valid integer",
        ),
        (
            "contract.close_policy.rules.1006 = {}",
            "contract.close_policy",
            "rules.1006: no Close frame has this code; expected 1000 to 4999",
        ),
        ("http2.max_stream = 5", "http2.max_stream", "no such setting; there are "),
        ("http2.max_streams = []", "http2.max_streams", "valid integer"),
    ],
)
def test_an_error_names_file_key_and_what_is_expected(
    load: Load, text: str, place: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    first = str(caught.value).splitlines()[0]
    assert first.startswith(f"bidi.toml: {place}: ")
    assert says in first


def test_every_error_is_told_on_a_line_of_its_own(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("contract.lifetime = 'a'\ncontract.max_skew = 'b'")
    assert re.findall(r"^bidi\.toml: contract\.(\w+): ", str(caught.value), re.MULTILINE) == [
        "lifetime",
        "max_skew",
    ]


def test_an_error_in_an_option_is_not_blamed_on_the_file(load: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            "endpoints.a.url = 'tcp://x'",
            port=-1,
            endpoints={"b": {"url": "tcp://y"}},
        )
    lines = str(caught.value).splitlines()
    assert sorted(line.rpartition(": ")[0].split(": ")[:2] for line in lines) == [
        ["bidi.toml", "endpoints.a.url"],
        ["options", "endpoints.b.url"],
        ["options", "port"],
    ]


def test_options_without_a_file_are_named_as_such() -> None:
    with pytest.raises(ConfigError, match=r"^options: contract\.x: no such setting"):
        load_config(overrides={"contract": {"x": 1}})


@pytest.mark.parametrize("name", ["secret_access_key", "session_token"])
def test_no_message_repeats_a_secret(load: Load, name: str) -> None:
    pairs = {"access_key_id": "'A'", "secret_access_key": "'B'"} | {name: "20260304"}
    with pytest.raises(ConfigError, match=name) as caught:
        load("[[credentials]]\n" + "\n".join(f"{key} = {value}" for key, value in pairs.items()))
    assert "20260304" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["ws://user:20260304@x", "ws://20260304@x:port", "https://u:20260304@x/a_b"]
)
def test_no_message_repeats_a_password_of_an_address(load: Load, address: str) -> None:
    with pytest.raises(ConfigError, match=r"endpoints\.a\.url") as caught:
        load(f"endpoints.a.url = '{address}'")
    assert "20260304" not in str(caught.value)


def test_an_option_that_an_unset_variable_leaves_empty_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^options: host: is empty; write 127\.0\.0\.1"):
        load_config(overrides={"host": ""})


def test_a_pair_of_the_file_may_stand_in_the_test_pairs_place(load: Load) -> None:
    key = TEST_KEY.access_key_id
    known = load(f"[[credentials]]\naccess_key_id = '{key}'\nsecret_access_key = 'x'").keys()
    assert known == {key: Credentials(key, "x")}


@pytest.mark.parametrize(
    ("text", "says"),
    [(b"port = ", "is no valid TOML"), (b"host = '\xff'", "is no valid TOML")],
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: bytes, says: str) -> None:
    path = tmp_path / "bidi.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: {says}"):
        load_config(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(str(tmp_path / 'no'))}: cannot be read"):
        load_config(tmp_path / "no")
