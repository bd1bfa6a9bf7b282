"""What the bridge logs: text or JSON, the session's id on each line, and nothing that was said."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from sagemaker_bidi_bridge.logs import SESSION_ID, _Json, _Text
from sagemaker_bidi_bridge.observe import key_values
from tests.bridge.peers import LIMIT_SECONDS, closed_with, echo, sagemaker, vllm
from tests.bridge.test_process import serving


@pytest.fixture
def in_a_session() -> Iterator[None]:
    token = SESSION_ID.set("4c1-aa")
    yield
    SESSION_ID.reset(token)


def record(words: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("bridge.x", logging.WARNING, __file__, 1, words, args, None)


def test_fields_are_pairs_in_text_and_members_in_json() -> None:
    line = record("session ended %s", key_values(id="x", bytes=5, vllm='sent 1000 ("all\nsaid")'))
    assert (
        _Text()
        .format(line)
        .endswith('logger=bridge.x session ended id=x bytes=5 vllm="sent 1000 (\\"all\\nsaid\\")"')
    )
    found = json.loads(_Json().format(line))
    found.pop("time")
    assert found == {
        "level": "WARNING",
        "logger": "bridge.x",
        "message": "session ended",
        "id": "x",
        "bytes": 5,
        "vllm": 'sent 1000 ("all\nsaid")',
    }


@pytest.mark.usefixtures("in_a_session")
def test_a_line_of_somebody_elses_has_the_sessions_id_too() -> None:
    assert _Text().format(record("uvicorn says %s", "so")).endswith("uvicorn says so id=4c1-aa")
    found = json.loads(_Json().format(record("uvicorn says %s", "so")))
    assert (found["message"], found["id"]) == ("uvicorn says so", "4c1-aa")


def test_an_exception_is_one_member_of_one_line() -> None:
    try:
        raise KeyError("x")
    except KeyError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()
    line = _Json().format(failed)
    assert "\n" not in line
    assert "KeyError" in json.loads(line)["exception"]


async def test_a_bridge_that_logs_json_writes_nothing_else_and_no_secret() -> None:
    headers = {"X-Amzn-SageMaker-Request-Id": "4c1-aa"}
    async with vllm(echo) as url:
        variables = {"BRIDGE_LOG_LEVEL": "debug", "BRIDGE_BACKEND_API_KEY": "sesame-4711"}
        async with serving(url, BRIDGE_LOG_FORMAT="json", **variables) as bridge:
            async with sagemaker(bridge.url, additional_headers=headers) as client:
                await client.send("a secret transcript")
                assert await asyncio.wait_for(client.recv(), LIMIT_SECONDS)
                await client.send(b"\xff")
                await closed_with(client)
            with pytest.raises(InvalidStatus):
                await sagemaker(bridge.url, "/elsewhere?token=sesame-4712")
            bridge.process.terminate()
            assert await bridge.exit_code() == 0
    text = "".join(bridge.lines)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [each["message"] for each in lines if each.get("id") == "4c1-aa"] == [
        "session started",
        "session ended",
    ]
    assert "sesame" not in text
    assert "transcript" not in text
