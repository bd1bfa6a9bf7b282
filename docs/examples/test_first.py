import asyncio

import pytest
from my_client import ask


@pytest.fixture
def emulator_endpoints(echo_container):
    return {"voice": echo_container.url}


def test_my_client_gets_its_answers(emulator, emulator_environment):
    assert asyncio.run(ask("voice", ["one", "two"])) == ["one", "two"]

    [session] = emulator.sessions
    session.join()
    assert session.closed_by == "client"
    assert session.lost == []
