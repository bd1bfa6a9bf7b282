"""A configuration file is read over the defaults, and options over the file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi.config import TEST_KEY, Config, load_config
from sagemaker_bidi.contract.endings import CLEAN
from sagemaker_bidi.contract.errors import StreamError
from sagemaker_bidi.contract.settings import ContractSettings
from sagemaker_bidi.contract.sigv4.credentials import Credentials
from sagemaker_bidi.endpoints.endpoints import Variant
from sagemaker_bidi.transport.http2.settings import Http2Settings
from tests.config.loading import Load


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


def test_a_pair_of_the_file_may_stand_in_the_test_pairs_place(load: Load) -> None:
    key = TEST_KEY.access_key_id
    known = load(f"[[credentials]]\naccess_key_id = '{key}'\nsecret_access_key = 'x'").keys()
    assert known == {key: Credentials(key, "x")}


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
