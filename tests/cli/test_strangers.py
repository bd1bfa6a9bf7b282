"""`bidi serve` says when others than this machine can reach it."""

from __future__ import annotations

import pytest

from sagemaker_bidi import Config
from sagemaker_bidi.serving.serve import _warn_of_strangers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "build-host"])
def test_an_address_that_others_reach_is_warned_of(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    _warn_of_strangers(Config(host=host, port=8443))
    assert f"listening on {host}: whoever reaches this machine" in caplog.text
    assert "with any key" in caplog.text
    assert "-p 127.0.0.1:8443:8443" in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_an_address_of_this_machine_alone_is_not(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    _warn_of_strangers(Config(host=host))
    assert caplog.text == ""
