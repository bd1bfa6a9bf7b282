import asyncio

import pytest
from aws_sdk_sagemaker_runtime_http2.models import ModelStreamError
from my_client import ask


@pytest.fixture
def emulator_endpoints(echo_container):
    return {"voice": echo_container.url}


@pytest.mark.scenario("container-dies", after_parts=1)
def test_my_client_is_told_that_the_container_died(emulator, emulator_environment):
    with pytest.raises(ModelStreamError):
        asyncio.run(ask("voice", ["one", "two"]))


def test_my_client_works_again_after_it_was_throttled(emulator, emulator_environment):
    with emulator.scenario("throttled", times=1), pytest.raises(Exception, match="400"):
        asyncio.run(ask("voice", ["one"]))

    assert asyncio.run(ask("voice", ["two"])) == ["two"]
