"""The suite's pytest plugin: `pytest --pyargs sagemaker_bidi_contract.suite --bidi-target ws://HOST:PORT`.

pytest loads this file in every run, of any project; what is heavy is imported when a run of the
suite asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sagemaker_bidi_contract.options import Options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, each with the prefix `--bidi-`."""
    group = parser.getgroup("bidi", "SageMaker bidirectional streaming: contract suite")
    group.addoption("--bidi-target", metavar="URL", help="ws://HOST:PORT or https://HOST:8443")
    group.addoption("--bidi-endpoint-name", default="", help="of an endpoint: which to invoke")
    group.addoption("--bidi-region", help="its region; else AWS_REGION or the profile")
    group.addoption("--bidi-ca", type=Path, help="certificates to trust for it")
    group.addoption("--bidi-behind", default="unknown", help="its container: echo, …")
    group.addoption("--bidi-allow-cost", action="store_true", help="also what costs money")
    group.addoption("--bidi-time-scale", type=float, help="how fast an emulator's clock runs")
    group.addoption("--bidi-strict", action="store_true", help="NON-STRICT is a failure")
    group.addoption("--bidi-timeout", type=float, help="limit of one check, seconds")
    group.addoption("--bidi-slow", action="store_true", help="also what takes minutes")
    group.addoption("--bidi-path", help="the container's data path")
    group.addoption("--bidi-message", help="a text message that the container takes")
    group.addoption("--bidi-pid", type=int, help="its process: check SIGTERM, which ends it")
    group.addoption("--bidi-model-protocol", default="none", help="vllm-realtime, or none")
    group.addoption("--bidi-model", default="", help="the served model's name")
    group.addoption("--bidi-audio", type=Path, help="a recording for the realtime checks")
    group.addoption("--bidi-fake-backend", metavar="[HOST:]PORT", help="the model server's place")
    group.addoption("--bidi-backend-down-cmd", default="", help="shell: stop the model server")
    group.addoption("--bidi-backend-up-cmd", default="", help="shell: start it again")
    _add_lists(group)
    group.addoption("--bidi-container", default="", help="what it is, as recordings have it")
    group.addoption("--bidi-compare", default="json", help="of recordings: exact, json or text")
    group.addoption("--bidi-speed", type=float, default=0.0, help="times as fast as recorded")


def _add_lists(group: pytest.OptionGroup) -> None:
    """Options that may be given again."""
    for name, kind, metavar, text in (
        ("recordings", Path, "PATH", "recordings to play to it, a file or a folder"),
        ("variant", str, "NAME=WEIGHT", "a variant of the endpoint"),
        ("ignore", str, "NAME", "of recordings: a JSON member to leave out"),
    ):
        group.addoption(
            f"--bidi-{name}", action="append", default=[], type=kind, metavar=metavar, help=text
        )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that cannot be used, once and before any test."""
    url = config.getoption("--bidi-target")
    if not url:
        return
    from sagemaker_bidi_contract.options import TargetError
    from sagemaker_bidi_contract.targets import checks_for, stage_for

    try:
        options = options_of(config)
        stage_for(url, options)
        checks_for(url, options)
    except TargetError as error:
        raise pytest.UsageError(str(error)) from error


def options_of(config: pytest.Config) -> Options:
    """The suite's options from those of pytest.

    Raises:
        TargetError: a value that cannot be used.
    """
    from sagemaker_bidi_contract.cli import behind, compare, protocol, variants
    from sagemaker_bidi_contract.options import BackendAddress, Options

    defaults = Options()
    backend = config.getoption("--bidi-fake-backend")
    return Options(
        strict=config.getoption("--bidi-strict"),
        timeout=config.getoption("--bidi-timeout") or defaults.timeout,
        slow=config.getoption("--bidi-slow"),
        path=f"/{(config.getoption('--bidi-path') or defaults.path).removeprefix('/')}",
        message=config.getoption("--bidi-message") or defaults.message,
        pid=config.getoption("--bidi-pid"),
        model_protocol=protocol(config.getoption("--bidi-model-protocol")),
        model=config.getoption("--bidi-model"),
        audio=config.getoption("--bidi-audio"),
        fake_backend=None if backend is None else BackendAddress.parse(backend),
        backend_down=config.getoption("--bidi-backend-down-cmd"),
        backend_up=config.getoption("--bidi-backend-up-cmd"),
        endpoint_name=config.getoption("--bidi-endpoint-name"),
        region=config.getoption("--bidi-region"),
        ca=config.getoption("--bidi-ca"),
        behind=behind(config.getoption("--bidi-behind")),
        allow_cost=config.getoption("--bidi-allow-cost"),
        time_scale=config.getoption("--bidi-time-scale"),
        variants=variants(config.getoption("--bidi-variant")),
        recordings=tuple(config.getoption("--bidi-recordings")),
        container=config.getoption("--bidi-container"),
        compare=compare(config.getoption("--bidi-compare")),
        ignore=tuple(config.getoption("--bidi-ignore")),
        speed=config.getoption("--bidi-speed"),
    )
