"""What the Testcontainers modules say where something is missing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import Reaper

from sagemaker_bidi.testing.containers import SageMakerBidiContainer, VoxtralContainer
from sagemaker_bidi.testing.containers.reach import ContainerEnded, ImageMissing

pytestmark = pytest.mark.docker
pytest_plugins = ["pytester"]


def test_an_image_that_is_not_here_comes_with_the_command_that_builds_it() -> None:
    with pytest.raises(ImageMissing, match=r"there is no image bidi-none/bridge:1 here") as caught:
        VoxtralContainer("bidi-none/bridge:1").start()
    assert "`docker build --target bridge --tag bidi-none/bridge:1 .`" in str(caught.value)


def test_a_reaper_that_is_not_here_comes_with_the_variable_that_does_without(
    bidi_images: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testcontainers_config, "_ryuk_disabled", False, raising=False)
    monkeypatch.setattr(type(testcontainers_config), "ryuk_disabled", False, raising=False)
    monkeypatch.setattr(testcontainers_config, "ryuk_image", "bidi-none/ryuk:1")
    monkeypatch.setattr(Reaper, "_instance", None)
    with pytest.raises(ImageMissing, match="TESTCONTAINERS_RYUK_DISABLED=true"):
        SageMakerBidiContainer(bidi_images["emulator"]).start()


def test_an_emulator_without_an_endpoint_says_so(bidi_images: Mapping[str, str]) -> None:
    container = SageMakerBidiContainer(bidi_images["emulator"])
    try:
        with pytest.raises(ContainerEnded, match="no endpoint is configured"):
            container.start()
    finally:
        container.stop()


def test_a_test_that_fails_shows_the_logs_of_its_containers(
    bidi_images: Mapping[str, str], pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(f"""
        import pytest
        from sagemaker_bidi.testing.containers import SageMakerBidiContainer

        pytest_plugins = ["sagemaker_bidi.testing.containers.fixtures"]

        @pytest.fixture
        def service():
            made = SageMakerBidiContainer({bidi_images["emulator"]!r})
            with made.with_endpoint("e", "ws://127.0.0.1:1") as service:
                yield service
    """)
    pytester.makepyfile("""
        def test_it(service):
            assert not service
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r".*log of service.*", r".*listening on https.*"])
