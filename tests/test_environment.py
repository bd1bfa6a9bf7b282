"""What an emulator hands out, in a shell that has settings of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sagemaker_bidi import Config, Emulator
from sagemaker_bidi.environment import OVERRIDING, client_environment
from sagemaker_bidi_client.connect import open_stream
from sagemaker_bidi_client.errors import RequestRefused
from sagemaker_bidi_fixtures.containers.echo import EchoContainer

# What people have in their shells: LocalStack's endpoint, a login, another account's profile.
LEFT_OVER = {
    "AWS_ENDPOINT_URL": "http://localhost:4566",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEXAMPLE",
    "AWS_PROFILE": "work-sso",
    "AWS_DEFAULT_PROFILE": "work-sso",
    "AWS_REGION": "eu-west-3",
    "AWS_CA_BUNDLE": "/nonexistent.pem",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/work",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent.token",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
}
TRUST = client_environment(
    "https://127.0.0.1:1", Path("/ca.pem"), Path("/bundle.pem"), "eu-central-1"
)


@pytest.fixture
def left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LEFT_OVER.items():
        monkeypatch.setenv(name, value)


async def echoed() -> bytes | None:
    """What an endpoint `echo` sends back, of wherever the environment leads to."""
    async with open_stream("echo") as stream:
        await stream.opened()
        await stream.send_text("hello")
        return await stream.receive_message()


@pytest.mark.usefixtures("left_over")
@pytest.mark.parametrize("unknown_keys", ["accept", "refuse"])
async def test_the_sdk_gets_in_whatever_the_shell_has_of_aws(unknown_keys: str) -> None:
    config = Config.model_validate({"port": 0, "unknown_keys": unknown_keys})
    async with (
        EchoContainer(port=0) as echo,
        Emulator({"echo": echo.url}, config=config) as emulator,
    ):
        with emulator.environment():
            assert await echoed() == b"hello"


async def test_the_variables_alone_let_in_where_every_key_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with EchoContainer(port=0) as echo, Emulator({"echo": echo.url}) as emulator:
        for name, value in {"AWS_SESSION_TOKEN": "left-over", **emulator.trust()}.items():
            monkeypatch.setenv(name, value)
        assert await echoed() == b"hello"


async def test_the_advice_for_a_token_that_was_left_over_lets_in_when_it_is_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = Config(port=0, unknown_keys="refuse")
    async with (
        EchoContainer(port=0) as echo,
        Emulator({"echo": echo.url}, config=config) as emulator,
    ):
        for name, value in {"AWS_SESSION_TOKEN": "", **emulator.trust()}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(RequestRefused) as told:
            await echoed()
        verb, name, *_ = told.value.advice.replace(":", " ").split()
        assert verb == "unset"
        monkeypatch.delenv(name)
        assert await echoed() == b"hello"


@pytest.mark.usefixtures("left_over")
def test_a_block_gives_everything_back() -> None:
    before = dict(os.environ)

    with TRUST as variables:
        assert os.environ["AWS_REGION"] == variables["AWS_REGION"] == "eu-central-1"
        assert os.environ.keys().isdisjoint(OVERRIDING)
        with TRUST:
            pass
        assert os.environ["AWS_REGION"] == "eu-central-1"

    assert dict(os.environ) == before


def test_the_environment_of_a_subprocess_keeps_what_is_no_business_of_ours() -> None:
    whole = TRUST.over({"PATH": "/bin", **LEFT_OVER})

    assert whole["PATH"] == "/bin"
    assert whole["AWS_ENDPOINT_URL"] == "http://localhost:4566"
    assert whole["AWS_CA_BUNDLE"] == whole["SSL_CERT_FILE"] == "/bundle.pem"
    assert whole["NODE_EXTRA_CA_CERTS"] == "/ca.pem"
    assert "AWS_SESSION_TOKEN" not in whole
