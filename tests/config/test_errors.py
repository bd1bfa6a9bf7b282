"""What does not fit in a configuration is named with its place, and what is secret is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sagemaker_bidi.config import ConfigError, load_config
from tests.config.loading import Load


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
            "credentials.0",
            "access_key_id is empty; no client signs with that",
        ),
        (
            "[[credentials]]\naccess_key_id = 'A'\nsecret_access_key = ''",
            "credentials.0",
            "secret_access_key is empty; no client signs with that",
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
