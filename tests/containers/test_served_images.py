"""What `bidi serve --image` makes of its configuration, before any container is there."""

from __future__ import annotations

from typing import Any

import pytest

from sagemaker_bidi import Config
from sagemaker_bidi.containers.docker import DockerError
from sagemaker_bidi.containers.hosted import ImageRun
from sagemaker_bidi.serving import serve


@pytest.mark.clause("K4")
@pytest.mark.parametrize(("scale", "seconds"), [(1.0, 1_800.0), (60.0, 30.0)])
def test_a_container_has_the_configured_time_to_get_healthy_on_the_emulators_clock(
    scale: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    class NoDocker:
        def __init__(self, run: ImageRun, **settings: Any) -> None:
            given.update(settings)

        async def __aenter__(self) -> None:
            raise DockerError("no Docker is asked here")

        async def __aexit__(self, *error: object) -> None:
            raise AssertionError("it was never entered")

    monkeypatch.setattr(serve, "HostedContainer", NoDocker)
    config = Config(port=0, time_scale=scale, contract={"startup_seconds": 1_800.0})
    with pytest.raises(DockerError, match="no Docker is asked here"):
        serve.run_here(config, images=[ImageRun("image")])

    assert given == {"startup": seconds}
